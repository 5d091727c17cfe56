// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft

/// An endpoint as the kernel writes it.
enum KernelAddress {
    static func family(of endpoint: Endpoint) -> Int32 { endpoint.address.family == .v4 ? AF_INET : AF_INET6 }

    /// A `sockaddr_in` or `sockaddr_in6`.
    static func bytes(of endpoint: Endpoint) -> [UInt8] {
        let port = [UInt8(endpoint.port >> 8), UInt8(truncatingIfNeeded: endpoint.port)]
        let family = UInt16(family(of: endpoint))
        let head = [
            UInt8(truncatingIfNeeded: family.littleEndian), UInt8(truncatingIfNeeded: family.littleEndian >> 8),
        ]
        switch endpoint.address.family {
        case .v4: return head + port + endpoint.address.bytes + [UInt8](repeating: 0, count: 8)
        case .v6: return head + port + [0, 0, 0, 0] + endpoint.address.bytes + [0, 0, 0, 0]
        }
    }

    /// What such bytes say; nil where they are no endpoint.
    static func endpoint(in bytes: [UInt8]) -> Endpoint? {
        guard bytes.count >= 8 else { return nil }
        let port = UInt16(bytes[2]) << 8 | UInt16(bytes[3])
        func word(_ start: Int) -> UInt64 { (0..<8).reduce(0) { $0 << 8 | UInt64(bytes[start + $1]) } }
        switch Int32(bytes[0]) {
        case AF_INET:
            return Endpoint(IPAddress(v4: (4..<8).reduce(0) { $0 << 8 | UInt32(bytes[$1]) }), port: port)
        case AF_INET6 where bytes.count >= 24:
            return Endpoint(IPAddress(v6: word(8), word(16)), port: port)
        default: return nil
        }
    }

    /// Calls `body` with them as a socket address.
    static func with<Result>(
        _ bytes: [UInt8], _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result?
    ) -> Result? {
        var storage = sockaddr_storage()
        // Safe: the storage holds every address, and any of them begins with the same fields.
        return unsafe withUnsafeMutableBytes(of: &storage) { room in
            unsafe room.copyBytes(from: bytes.prefix(room.count))
            return unsafe room.assumingMemoryBound(to: sockaddr.self).baseAddress.flatMap {
                unsafe body($0, socklen_t(min(bytes.count, room.count)))
            }
        }
    }

    /// What `getsockname` or `getpeername` says.
    static func ask(
        _ call: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32
    ) -> Endpoint? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        // Safe: as above; the kernel writes no more than `length`.
        return unsafe withUnsafeMutableBytes(of: &storage) { room in
            let code = unsafe room.assumingMemoryBound(to: sockaddr.self).baseAddress.map { unsafe call($0, &length) }
            guard code == 0 else { return nil }
            return endpoint(in: unsafe Array(room.prefix(Int(length))))
        }
    }
}
