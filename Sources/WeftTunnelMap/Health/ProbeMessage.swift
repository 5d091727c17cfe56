// SPDX-License-Identifier: Apache-2.0
import Weft

/// What agents say to one another on UDP port 9997: a probe, or the answer to one.
///
/// | offset | bytes | what |
/// | --- | --- | --- |
/// | 0 | 4 | "WFHP" |
/// | 4 | 1 | version: 1 or 2 |
/// | 5 | 1 | 1: probe, 2: answer |
/// | 6 | 2 | 0 |
/// | 8 | 64 | the sender's name, filled up with zeros |
/// | 72 | 64 | the receiver's |
/// | 136 | 16 | nonce; an answer's is its probe's |
/// | 152 | 8 | when it was sent: nanoseconds since 1970 |
/// | 160 | 32 | HMAC-SHA-256 over all before it, by the fleet's key (version 1) or the pair's (2) |
///
/// That an answer is fresh says its nonce. The time says how the sender's clock goes, and nothing depends on it.
public struct ProbeMessage: Hashable, Sendable {
    public enum Kind: UInt8, Sendable { case probe = 1, answer = 2 }

    public enum Version: UInt8, Sendable {
        /// The first release's: one key for all.
        case fleet = 1
        /// A key for each pair of agents.
        case pairs = 2
    }

    /// 16 random bytes.
    public struct Nonce: Hashable, Sendable {
        var high: UInt64
        var low: UInt64

        init(_ random: inout some RandomNumberGenerator) {
            high = random.next()
            low = random.next()
        }

        init(_ high: UInt64, _ low: UInt64) {
            self.high = high
            self.low = low
        }
    }

    public var version: Version
    public var kind: Kind
    /// 1 to 63 bytes.
    public var sender: String
    public var receiver: String
    public var nonce: Nonce
    /// Nanoseconds since 1970.
    public var time: UInt64

    /// How long every message is, in bytes.
    public static let byteCount = 192
    private static let signed = 160
    private static let magic = Array("WFHP".utf8)

    /// The message with its tag; nil if a name is too long or OpenSSL fails.
    func encoded(_ keys: ProbeKeys) -> [UInt8]? {
        guard sender.utf8.count < 64, receiver.utf8.count < 64 else { return nil }
        var bytes = Self.magic + [version.rawValue, kind.rawValue, 0, 0]
        for name in [sender, receiver] {
            bytes += Array(name.utf8) + [UInt8](repeating: 0, count: 64 - name.utf8.count)
        }
        for word in [nonce.high, nonce.low, time] {
            for shift in stride(from: 56, through: 0, by: -8) {
                bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(shift)))
            }
        }
        guard let tag = keys.tag(over: bytes.span, version, between: sender, receiver) else { return nil }
        return bytes + tag
    }

    /// Reads what anyone may have sent; nil unless it is whole, of a version that is taken, and its tag is good.
    init?(_ bytes: [UInt8], _ keys: ProbeKeys, allowing versions: Set<Version> = [.fleet, .pairs]) {
        guard bytes.count == Self.byteCount, Array(bytes[..<4]) == Self.magic,
            let version = Version(rawValue: bytes[4]), versions.contains(version),
            bytes[6] == 0, bytes[7] == 0, let kind = Kind(rawValue: bytes[5]),
            let sender = Self.name(bytes[8..<72]), let receiver = Self.name(bytes[72..<136]),
            let tag = keys.tag(
                over: bytes.span.extracting(..<Self.signed), version, between: sender, receiver),
            FleetKey.areEqual(tag, Array(bytes[Self.signed...]))
        else { return nil }
        self.version = version
        self.kind = kind
        self.sender = sender
        self.receiver = receiver
        nonce = Nonce(Self.word(bytes[136..<144]), Self.word(bytes[144..<152]))
        time = Self.word(bytes[152..<160])
    }

    init(_ kind: Kind, _ version: Version, from sender: String, to receiver: String, nonce: Nonce, time: UInt64) {
        self.version = version
        self.kind = kind
        self.sender = sender
        self.receiver = receiver
        self.nonce = nonce
        self.time = time
    }

    private static func word(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }

    /// A name that is followed by nothing but zeros.
    private static func name(_ bytes: ArraySlice<UInt8>) -> String? {
        let text = bytes.prefix { $0 != 0 }
        guard (1...63).contains(text.count), bytes.dropFirst(text.count).allSatisfy({ $0 == 0 }) else { return nil }
        return String(validating: text, as: UTF8.self)
    }
}
