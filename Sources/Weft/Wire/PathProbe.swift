// SPDX-License-Identifier: Apache-2.0

/// What a keep-alive carries that asks whether somebody answers at an address, and the answer (docs/weft-1.md).
///
/// It is sealed as data is, so that only the peer can have made it. Zeroes may follow it, which make it as long as a path is to be
/// tried for; an answer has none.
public struct PathProbe: Hashable, Sendable, BitwiseCopyable {
    public enum Kind: UInt8, Sendable, BitwiseCopyable {
        case question = 1
        case answer = 2
    }

    public var kind: Kind
    /// Chosen at random by who asks; an answer has its question's.
    public var token: UInt64
    /// Bytes of plaintext: of the question, also in its answer.
    public var length: UInt16

    /// Bytes without what follows.
    public static let byteCount = 16

    public init(_ kind: Kind, token: UInt64, length: Int = byteCount) {
        self.kind = kind
        self.token = token
        self.length = UInt16(clamping: length)
    }

    /// Reads an out-of-band message's text; nil for any other, a plain keep-alive among them.
    public init?(_ text: RawSpan) {
        guard text.byteCount >= Self.byteCount, let kind = Kind(rawValue: text.load(at: 0, as: UInt8.self)) else {
            return nil
        }
        self.kind = kind
        length = text.load(at: 2, as: UInt16.self)
        token = text.load(at: 8, as: UInt64.self)
    }

    /// Writes it.
    /// - Precondition: there are ``byteCount`` bytes from `start` on.
    func write(into bytes: inout MutableRawSpan, at start: Int) {
        bytes.store(UInt16(kind.rawValue) << 8, at: start)
        bytes.store(length, at: start + 2)
        bytes.store(0 as UInt32, at: start + 4)
        bytes.store(token, at: start + 8)
    }
}
