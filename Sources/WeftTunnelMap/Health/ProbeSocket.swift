// SPDX-License-Identifier: Apache-2.0
import CWeftTunnelMap
import Glibc
import Weft

/// A UDP socket at the probes' port, of one address family. It never blocks.
final class ProbeSocket: Sendable {
    let family: IPAddress.Family
    private let descriptor: FileDescriptor

    var raw: Int32 { descriptor.raw }

    init(_ family: IPAddress.Family) throws(TransportError) {
        let domain = family == .v4 ? AF_INET : AF_INET6
        let kind = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let raw = try SystemCall.retrying("open a socket for probes") { socket(domain, kind, 0) }
        self.family = family
        descriptor = FileDescriptor(owning: raw)
        if family == .v6 {
            var one: Int32 = 1
            // SAFETY: the kernel reads an integer whose size stands beside it.
            unsafe setsockopt(raw, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &one, socklen_t(MemoryLayout<Int32>.size))
        }
        let any = Endpoint(family == .v4 ? IPAddress(v4: 0) : IPAddress(v6: 0, 0), port: UInt16(WEFT_PORT_PROBE))
        try SystemCall.retrying("bind UDP port \(WEFT_PORT_PROBE) for probes") {
            unsafe Self.withAddress(of: any) { unsafe Glibc.bind(raw, $0, $1) }
        }
    }

    /// Sends with a mark. What doesn't go through is lost, as datagrams are.
    func send(_ bytes: [UInt8], to endpoint: Endpoint, mark: UInt32) {
        var mark = mark
        // SAFETY: the kernel reads an integer, an address and bytes, whose sizes stand beside them. Without CAP_NET_ADMIN there is
        // no mark.
        unsafe setsockopt(raw, SOL_SOCKET, SO_MARK, &mark, socklen_t(MemoryLayout<UInt32>.size))
        _ = unsafe Self.withAddress(of: endpoint) { address, length in
            unsafe bytes.withUnsafeBytes { bytes in
                let flags = Int32(MSG_NOSIGNAL)
                return unsafe sendto(raw, bytes.baseAddress, bytes.count, flags, address, length) < 0 ? -1 : 0
            }
        }
    }

    /// A datagram and where it came from; nil if there is none.
    func receive(limit: Int) -> (bytes: [UInt8], source: Endpoint)? {
        var address = sockaddr_in6()
        var length = socklen_t(MemoryLayout<sockaddr_in6>.size)
        var count = -1
        // SAFETY: the kernel writes at most `limit` bytes, and at most `length` bytes of an address.
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: limit) { buffer, initialized in
            unsafe withUnsafeMutablePointer(to: &address) { address in
                unsafe address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    repeat {
                        count = unsafe recvfrom(raw, buffer.baseAddress, limit, 0, $0, &length)
                        // The last also tells of a datagram of ours that nobody wanted.
                    } while count < 0 && (errno == EINTR || errno == ECONNREFUSED || errno == EHOSTUNREACH)
                }
            }
            initialized = max(0, count)
        }
        guard count >= 0 else { return nil }
        return (bytes, Self.endpoint(address, family))
    }

    private static func withAddress(
        of endpoint: Endpoint, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        let address = endpoint.address
        if address.family == .v4 {
            var socket = sockaddr_in()
            socket.sin_family = sa_family_t(AF_INET)
            socket.sin_port = endpoint.port.bigEndian
            socket.sin_addr.s_addr = address.v4Bits.bigEndian
            // SAFETY: every socket address begins with the same field, and the length says which it is.
            return unsafe withUnsafePointer(to: &socket) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        }
        var socket = sockaddr_in6()
        socket.sin6_family = sa_family_t(AF_INET6)
        socket.sin6_port = endpoint.port.bigEndian
        unsafe withUnsafeMutableBytes(of: &socket.sin6_addr) { bytes in
            unsafe bytes.storeBytes(of: address.high.bigEndian, as: UInt64.self)
            unsafe bytes.storeBytes(of: address.low.bigEndian, toByteOffset: 8, as: UInt64.self)
        }
        // SAFETY: as above.
        return unsafe withUnsafePointer(to: &socket) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe body($0, socklen_t(MemoryLayout<sockaddr_in6>.size))
            }
        }
    }

    private static func endpoint(_ address: sockaddr_in6, _ family: IPAddress.Family) -> Endpoint {
        let port = UInt16(bigEndian: address.sin6_port)
        return unsafe withUnsafeBytes(of: address) { bytes in
            // SAFETY: both structures are within the larger one, and any bits are an address.
            if family == .v4 {
                let bits = unsafe bytes.loadUnaligned(as: sockaddr_in.self).sin_addr.s_addr
                return Endpoint(IPAddress(v4: UInt32(bigEndian: bits)), port: port)
            }
            let offset = MemoryLayout<sockaddr_in6>.offset(of: \.sin6_addr) ?? 8
            let high = unsafe bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            let low = unsafe bytes.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self)
            return Endpoint(IPAddress(v6: UInt64(bigEndian: high), UInt64(bigEndian: low)), port: port)
        }
    }
}
