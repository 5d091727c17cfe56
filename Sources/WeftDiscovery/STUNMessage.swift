// SPDX-License-Identifier: Apache-2.0
import Weft

/// A STUN message (RFC 8489) as far as binding goes: what a server and its client need of it.
public struct STUNMessage: Hashable, Sendable {
    /// The class of a message (section 5).
    public enum Class: UInt16, Hashable, Sendable {
        case request = 0
        case indication = 0x010
        case success = 0x100
        case failure = 0x110

        static let mask: UInt16 = 0x110
    }

    /// 96 bits that a client chooses at random and its server repeats.
    public struct Transaction: Hashable, Sendable {
        let high: UInt32
        let low: UInt64

        init(high: UInt32, low: UInt64) {
            self.high = high
            self.low = low
        }

        public static func random(using generator: inout some RandomNumberGenerator) -> Transaction {
            Transaction(high: .random(in: 0...UInt32.max, using: &generator), low: generator.next())
        }
    }

    /// An error that a server answers with (section 14.8).
    public struct Failure: Hashable, Sendable {
        /// 300 to 699.
        public let code: Int
        /// The server's words, for people; without control characters.
        public let reason: String
    }

    /// Attribute types (section 18.3).
    enum Attribute {
        static let mappedAddress: UInt16 = 0x0001
        static let messageIntegrity: UInt16 = 0x0008
        static let errorCode: UInt16 = 0x0009
        static let unknownAttributes: UInt16 = 0x000A
        static let messageIntegritySHA256: UInt16 = 0x001C
        static let xorMappedAddress: UInt16 = 0x0020
        static let fingerprint: UInt16 = 0x8028

        /// Whoever doesn't know a type below this must not go on.
        static let optional: UInt16 = 0x8000
        static let headerLength = 4
    }

    static let binding: UInt16 = 0x001
    /// What the checksum is combined with (section 14.7).
    static let fingerprintMask: UInt32 = 0x5354_554E

    public let kind: Class
    public let method: UInt16
    public let transaction: Transaction
    /// How the server saw the client.
    public private(set) var mapped: Endpoint?
    public private(set) var failure: Failure?
    /// Attributes that must be known, and aren't here.
    public private(set) var unknownAttributes: [UInt16] = []
    public private(set) var hasFingerprint = false

    /// Reads a message; nil when it is none, or contradicts itself.
    public init?(_ bytes: [UInt8]) {
        guard bytes.count >= STUNHeader.length, bytes[0] & 0xC0 == 0,
            bytes.word(at: 4) == STUNHeader.cookie,
            STUNHeader.length + Int(bytes.half(at: 2)) == bytes.count
        else { return nil }
        let type = bytes.half(at: 0)
        guard let kind = Class(rawValue: type & Class.mask) else { return nil }
        self.kind = kind
        method = type & ~Class.mask
        transaction = Transaction(
            high: bytes.word(at: 8), low: UInt64(bytes.word(at: 12)) << 32 | UInt64(bytes.word(at: 16)))
        guard readAttributes(bytes) else { return nil }
    }

    private mutating func readAttributes(_ bytes: [UInt8]) -> Bool {
        var offset = STUNHeader.length
        var isProtected = false
        var plain: Endpoint?
        while offset < bytes.count {
            // A fingerprint is the last attribute.
            guard !hasFingerprint, bytes.count - offset >= Attribute.headerLength else { return false }
            let type = bytes.half(at: offset)
            let start = offset + Attribute.headerLength
            let end = start + Int(bytes.half(at: offset + 2))
            guard end <= bytes.count else { return false }
            let value = Array(bytes[start..<end])
            switch type {
            case Attribute.fingerprint:
                guard value.count == 4,
                    value.word(at: 0) == CRC32.checksum(bytes[..<offset]) ^ Self.fingerprintMask
                else { return false }
                hasFingerprint = true
            // What follows a message's integrity is not protected by it and doesn't count (section 14.5).
            case _ where isProtected: break
            case Attribute.messageIntegrity, Attribute.messageIntegritySHA256: isProtected = true
            case Attribute.xorMappedAddress:
                guard let endpoint = endpoint(of: value, isMasked: true) else { return false }
                mapped = mapped ?? endpoint
            case Attribute.mappedAddress: plain = plain ?? endpoint(of: value, isMasked: false)
            case Attribute.errorCode:
                guard let failure = Failure(value) else { return false }
                self.failure = self.failure ?? failure
            case Attribute.unknownAttributes: break
            default: if type < Attribute.optional { unknownAttributes.append(type) }
            }
            // Values are padded to whole words.
            offset = (end + 3) & ~3
        }
        mapped = mapped ?? plain
        return offset == bytes.count
    }

    /// Section 14.1 and 14.2; masked with the cookie, and an IPv6 address with the transaction too.
    private func endpoint(of value: [UInt8], isMasked: Bool) -> Endpoint? {
        guard value.count >= 4 else { return nil }
        let port = value.half(at: 2) ^ (isMasked ? UInt16(STUNHeader.cookie >> 16) : 0)
        switch (value[1], value.count) {
        case (1, 8):
            return Endpoint(
                IPAddress(v4: value.word(at: 4) ^ (isMasked ? STUNHeader.cookie : 0)), port: port)
        case (2, 20):
            let high = UInt64(value.word(at: 4)) << 32 | UInt64(value.word(at: 8))
            let low = UInt64(value.word(at: 12)) << 32 | UInt64(value.word(at: 16))
            return Endpoint(
                IPAddress(
                    v6: high ^ (isMasked ? transaction.highMask : 0), low ^ (isMasked ? transaction.low : 0)),
                port: port)
        default: return nil
        }
    }
}

extension STUNMessage.Transaction {
    /// What the first half of an IPv6 address is masked with.
    var highMask: UInt64 { UInt64(STUNHeader.cookie) << 32 | UInt64(high) }
}

extension STUNMessage.Failure {
    fileprivate init?(_ value: [UInt8]) {
        guard value.count >= 4, (3...6).contains(value[2] & 7), value[3] < 100 else { return nil }
        code = Int(value[2] & 7) * 100 + Int(value[3])
        reason = String(decoding: value[4...].prefix(128), as: UTF8.self).filter { !$0.isNewline && $0 >= " " }
    }
}
