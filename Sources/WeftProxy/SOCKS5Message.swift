// SPDX-License-Identifier: Apache-2.0
import Weft

/// What a SOCKS5 client sends (RFC 1928, RFC 1929), read off the front of what has come.
public enum SOCKS5Message {
    /// What could be read.
    public enum Reading<Value: Sendable>: Sendable {
        /// It isn't there as a whole yet.
        case more
        /// With how many bytes it took.
        case value(Value, count: Int)
        case bad
    }

    /// Where somebody wants to go.
    public enum Target: Hashable, Sendable {
        case endpoint(Endpoint)
        /// 1 to 255 bytes, as they came.
        case name(String, port: UInt16)
    }

    public enum Command: UInt8, Sendable {
        case connect = 1
        case bind = 2
        case associate = 3
    }

    public struct Request: Sendable {
        /// Nil for none that the protocol has.
        public let command: Command?
        /// Nil where its kind of address is none that the protocol has.
        public let target: Target?
    }

    /// What a reply says.
    public enum Reply: UInt8, Sendable {
        case done = 0
        case failed = 1
        case unreachable = 4
        case refused = 5
        case expired = 6
        case noSuchCommand = 7
        case noSuchAddress = 8
    }

    /// The longest of all of them.
    public static let longest = 513

    /// How it may be asked who it is: none (0), by a password (2).
    public static func methods(_ bytes: [UInt8]) -> Reading<Set<UInt8>> {
        guard let version = bytes.first else { return .more }
        guard version == 5 else { return .bad }
        guard bytes.count >= 2 else { return .more }
        let end = 2 + Int(bytes[1])
        return bytes.count < end ? .more : .value(Set(bytes[2..<end]), count: end)
    }

    /// A user and his password.
    public static func login(_ bytes: [UInt8]) -> Reading<(user: [UInt8], password: [UInt8])> {
        guard let version = bytes.first else { return .more }
        guard version == 1 else { return .bad }
        guard bytes.count >= 2 else { return .more }
        let middle = 2 + Int(bytes[1])
        guard bytes.count > middle else { return .more }
        let end = middle + 1 + Int(bytes[middle])
        guard bytes.count >= end else { return .more }
        return .value((Array(bytes[2..<middle]), Array(bytes[(middle + 1)..<end])), count: end)
    }

    public static func request(_ bytes: [UInt8]) -> Reading<Request> {
        guard let version = bytes.first else { return .more }
        guard version == 5 else { return .bad }
        guard bytes.count >= 4 else { return .more }
        let command = Command(rawValue: bytes[1])
        switch target(bytes[3...]) {
        case .more: return .more
        case .bad: return .value(Request(command: command, target: nil), count: bytes.count)
        case .value(let target, let count): return .value(Request(command: command, target: target), count: 3 + count)
        }
    }

    /// The header of a datagram that a client sends; its fragments (RFC 1928 section 7) are bad, as implementations may have it.
    public static func datagram(_ bytes: [UInt8]) -> Reading<Target> {
        guard bytes.count >= 4, bytes[0] == 0, bytes[1] == 0, bytes[2] == 0 else { return .bad }
        if case .value(let target, let count) = target(bytes[3...]) { return .value(target, count: 3 + count) }
        return .bad
    }

    /// A kind of address, the address, and a port.
    private static func target(_ bytes: ArraySlice<UInt8>) -> Reading<Target> {
        guard let kind = bytes.first else { return .more }
        let rest = bytes.dropFirst()
        func word(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
        func port(behind count: Int) -> UInt16 {
            UInt16(truncatingIfNeeded: word(rest.dropFirst(count).prefix(2)))
        }
        switch kind {
        case 1:
            guard rest.count >= 6 else { return .more }
            let address = IPAddress(v4: UInt32(truncatingIfNeeded: word(rest.prefix(4))))
            return .value(.endpoint(Endpoint(address, port: port(behind: 4))), count: 7)
        case 4:
            guard rest.count >= 18 else { return .more }
            let address = IPAddress(v6: word(rest.prefix(8)), word(rest.dropFirst(8).prefix(8)))
            return .value(.endpoint(Endpoint(address, port: port(behind: 16))), count: 19)
        case 3:
            guard let length = rest.first.map(Int.init) else { return .more }
            guard length > 0 else { return .bad }
            guard rest.count >= 1 + length + 2 else { return .more }
            let name = String(decoding: rest.dropFirst().prefix(length), as: UTF8.self)
            let number = port(behind: 1 + length)
            // Some clients send an address as a name.
            if let address = IPAddress(name) {
                return .value(.endpoint(Endpoint(address, port: number)), count: 1 + 1 + length + 2)
            }
            return .value(.name(name, port: number), count: 1 + 1 + length + 2)
        default: return .bad
        }
    }

    /// A reply's bytes.
    /// - Parameter bound: where the client is served from.
    public static func reply(_ reply: Reply, _ bound: Endpoint) -> [UInt8] {
        [5, reply.rawValue, 0] + address(bound)
    }

    /// The header of a datagram that came from an endpoint.
    public static func header(from endpoint: Endpoint) -> [UInt8] { [0, 0, 0] + address(endpoint) }

    private static func address(_ endpoint: Endpoint) -> [UInt8] {
        [endpoint.address.family == .v4 ? 1 : 4] + endpoint.address.bytes
            + [UInt8(endpoint.port >> 8), UInt8(truncatingIfNeeded: endpoint.port)]
    }
}
