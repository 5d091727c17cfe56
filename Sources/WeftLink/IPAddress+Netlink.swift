// SPDX-License-Identifier: Apache-2.0
import CWeftNetlink
import Glibc
import Weft

extension IPAddress.Family {
    /// AF_INET or AF_INET6.
    var addressFamily: Int32 { self == .v4 ? AF_INET : AF_INET6 }
}

extension NetlinkObject {
    /// libnl's form of an address with a prefix length.
    init(_ address: IPAddress, length: Int) throws(LinkError) {
        let bytes = address.bytes
        // SAFETY: libnl copies the bytes, whose count stands beside them, before the call returns.
        try unsafe self.init(
            nl_addr_build(address.family.addressFamily, bytes, bytes.count), release: nl_addr_put)
        unsafe nl_addr_set_prefixlen(pointer, Int32(length))
    }
}

/// The address in a `nl_addr` that the caller keeps alive for this call; nil unless it is IPv4 or IPv6.
func ipAddress(of pointer: OpaquePointer?) -> IPAddress? {
    guard let pointer = unsafe pointer else { return nil }
    let family = unsafe nl_addr_get_family(pointer)
    guard family == AF_INET || family == AF_INET6 else { return nil }
    // A default route's destination has no bytes at all; what is missing is zero.
    var bytes: (UInt64, UInt64) = (0, 0)
    unsafe withUnsafeMutableBytes(of: &bytes) { destination in
        // SAFETY: libnl guarantees `nl_addr_get_len` bytes at that address, and no more than 16 are taken.
        let source = unsafe UnsafeRawBufferPointer(
            start: nl_addr_get_binary_addr(pointer), count: min(Int(nl_addr_get_len(pointer)), destination.count))
        unsafe destination.copyBytes(from: source)
    }
    let (high, low) = (UInt64(bigEndian: bytes.0), UInt64(bigEndian: bytes.1))
    return family == AF_INET ? IPAddress(v4: UInt32(truncatingIfNeeded: high >> 32)) : IPAddress(v6: high, low)
}
