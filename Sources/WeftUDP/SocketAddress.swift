// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Weft

/// Which addresses a socket speaks. A dual-stack socket writes IPv4 as IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2).
enum SocketFamily: Sendable {
    case v4Only
    case dualStack
}

/// The kernel's form of an endpoint: a `sockaddr_in6`, in which a `sockaddr_in` finds room too.
struct SocketAddress {
    var storage = sockaddr_in6()
    private static let mappedPrefix: UInt64 = 0x0000_FFFF_0000_0000

    static func length(_ family: SocketFamily) -> socklen_t {
        family == .v4Only
            ? socklen_t(MemoryLayout<sockaddr_in>.size) : socklen_t(MemoryLayout<sockaddr_in6>.size)
    }

    init() {}

    /// Nil when a socket of that family can't reach the endpoint.
    init?(_ endpoint: Endpoint, _ family: SocketFamily) {
        switch (family, endpoint.address.family) {
        case (.v4Only, .v6): return nil
        case (.v4Only, .v4):
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = endpoint.port.bigEndian
            address.sin_addr.s_addr = endpoint.address.v4Bits.bigEndian
            unsafe withUnsafeMutableBytes(of: &storage) { target in
                unsafe withUnsafeBytes(of: address) { unsafe target.copyMemory(from: $0) }
            }
        case (.dualStack, _):
            let (high, low) = Self.bits(of: endpoint.address)
            fill(high: high, low: low, endpoint.port)
        }
    }

    /// An address as a dual-stack socket writes it.
    static func bits(of address: IPAddress) -> (high: UInt64, low: UInt64) {
        address.family == .v4 ? (0, mappedPrefix | UInt64(address.v4Bits)) : (address.high, address.low)
    }

    /// The address that a dual-stack socket wrote so.
    static func address(_ high: UInt64, _ low: UInt64) -> IPAddress {
        high == 0 && low >> 32 == mappedPrefix >> 32
            ? IPAddress(v4: UInt32(truncatingIfNeeded: low)) : IPAddress(v6: high, low)
    }

    private mutating func fill(high: UInt64, low: UInt64, _ port: UInt16) {
        storage.sin6_family = sa_family_t(AF_INET6)
        storage.sin6_port = port.bigEndian
        unsafe withUnsafeMutableBytes(of: &storage.sin6_addr) { bytes in
            unsafe bytes.storeBytes(of: high.bigEndian, as: UInt64.self)
            unsafe bytes.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
        }
    }

    /// The endpoint; IPv4-mapped addresses become IPv4.
    var endpoint: Endpoint {
        let port = UInt16(bigEndian: storage.sin6_port)
        if storage.sin6_family == sa_family_t(AF_INET) {
            // Safe: a sockaddr_in is smaller than its storage, and any bits are an address.
            let bits = unsafe withUnsafeBytes(of: storage) {
                unsafe $0.loadUnaligned(as: sockaddr_in.self).sin_addr.s_addr
            }
            return Endpoint(IPAddress(v4: UInt32(bigEndian: bits)), port: port)
        }
        let (high, low) = unsafe withUnsafeBytes(of: storage.sin6_addr) {
            unsafe (
                UInt64(bigEndian: $0.loadUnaligned(as: UInt64.self)),
                UInt64(bigEndian: $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            )
        }
        return Endpoint(Self.address(high, low), port: port)
    }
}
