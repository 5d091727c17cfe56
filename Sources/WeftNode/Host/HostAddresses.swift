// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft

/// The addresses of this host's interfaces.
struct HostAddresses: Hashable, Sendable {
    var own: Set<IPAddress> = []
    /// Those that are all hosts' of one of its networks.
    var broadcasts: Set<IPAddress> = []

    static func present() -> HostAddresses {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard unsafe getifaddrs(&list) == 0 else { return HostAddresses() }
        defer { unsafe freeifaddrs(list) }
        var found = HostAddresses()
        var entry = unsafe list
        while let current = unsafe entry {
            unsafe entry = unsafe current.pointee.ifa_next
            if let address = unsafe address(at: current.pointee.ifa_addr) { found.own.insert(address) }
            guard unsafe current.pointee.ifa_flags & UInt32(IFF_BROADCAST) != 0 else { continue }
            if let address = unsafe address(at: current.pointee.ifa_ifu.ifu_broadaddr) {
                found.broadcasts.insert(address)
            }
        }
        return found
    }

    @unsafe
    private static func address(at pointer: UnsafeMutablePointer<sockaddr>?) -> IPAddress? {
        guard let pointer = unsafe pointer else { return nil }
        // Safe: the structure is as long as its family says, and any bits are an address.
        switch Int32(unsafe pointer.pointee.sa_family) {
        case AF_INET:
            let bits = unsafe UnsafeRawPointer(pointer).loadUnaligned(as: sockaddr_in.self).sin_addr.s_addr
            return IPAddress(v4: UInt32(bigEndian: bits))
        case AF_INET6:
            let value = unsafe UnsafeRawPointer(pointer).loadUnaligned(as: sockaddr_in6.self)
            return unsafe withUnsafeBytes(of: value.sin6_addr) { bytes in
                unsafe IPAddress(
                    v6: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
                    UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
            }
        default: return nil
        }
    }
}
