// SPDX-License-Identifier: Apache-2.0
import CWeftOpenSSL

/// A secret that a person carried to both ends: a recording of what they said stays closed to whoever breaks everything else.
///
/// It lies in locked memory, is wiped with its last owner, and never prints.
public final class PresharedKey: Sendable {
    /// Bytes in a key.
    public static let byteCount = 32

    private let secret: SecretBytes

    /// Takes a key over; nil unless it has ``byteCount`` bytes that aren't all zeros.
    public convenience init?(_ secret: consuming SecretBytes) {
        guard secret.count == Self.byteCount, !Self.isZero(secret) else { return nil }
        self.init(checked: secret)
    }

    /// Decodes base64 (RFC 4648, section 4); nil unless it is the one text of such a key, 44 characters.
    public convenience init?(base64 text: Span<UInt8>) {
        guard let secret = Self.decode(text), !Self.isZero(secret) else { return nil }
        self.init(checked: secret)
    }

    /// - Parameter secret: ``byteCount`` bytes, not all zeros.
    init(checked secret: consuming SecretBytes) { self.secret = secret }

    static func isZero(_ secret: borrowing SecretBytes) -> Bool {
        secret.isEqual(to: SecretBytes(count: secret.count) { _ in })
    }

    /// What base64 stands for, without a copy anywhere else; nil unless it is the one text of ``byteCount`` bytes.
    static func decode(_ text: Span<UInt8>) -> SecretBytes? {
        let digits = 43
        guard text.count == digits + 1, text[digits] == UInt8(ascii: "=") else { return nil }
        struct NotCanonical: Error {}
        return try? SecretBytes(count: byteCount) { bytes throws(NotCanonical) in
            var bits: UInt32 = 0
            var pending = 0
            var written = 0
            for index in 0..<digits {
                guard let digit = value(of: text[index]) else { throw NotCanonical() }
                bits = bits << 6 | UInt32(digit)
                pending += 6
                guard pending >= 8 else { continue }
                pending -= 8
                bytes[written] = UInt8(truncatingIfNeeded: bits >> UInt32(pending))
                written += 1
            }
            // Two bits are left, which stand for nothing.
            guard bits & 3 == 0 else { throw NotCanonical() }
        }
    }

    private static func value(of digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): digit - UInt8(ascii: "A")
        case UInt8(ascii: "a")...UInt8(ascii: "z"): digit - UInt8(ascii: "a") + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0") + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }

    /// Lends the bytes to `body`, until it returns. A copy that `body` makes is `body`'s to wipe.
    public func withBytes<Result: ~Copyable, Failure: Error>(
        _ body: (Span<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result { try secret.lend(to: body) }
}

extension PresharedKey: Hashable {
    /// The time taken doesn't depend on where they differ.
    public static func == (one: PresharedKey, other: PresharedKey) -> Bool { one.secret.isEqual(to: other.secret) }

    /// Says nothing of the key: who is told apart by it is few.
    public func hash(into hasher: inout Hasher) {}
}

extension PresharedKey: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Always "(hidden)".
    public var description: String { "(hidden)" }
    /// Always "(hidden)".
    public var debugDescription: String { description }
    /// Without children, so that `dump` shows nothing.
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}

extension SecretBytes {
    /// A class can't lend a span of what it holds any other way.
    fileprivate borrowing func lend<Result: ~Copyable, Failure: Error>(
        to body: (Span<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result { try body(span) }
}
