// SPDX-License-Identifier: Apache-2.0

/// A secret that a person carried to both ends: a recording of what they said stays closed to whoever breaks everything else.
///
/// It lies in locked memory, is wiped with its last owner, and never prints.
public final class PresharedKey: Sendable {
    /// Bytes in a key.
    public static let byteCount = 32

    private let secret: SharedSecret

    /// Takes a key over; nil unless it has ``byteCount`` bytes that aren't all zeros.
    public convenience init?(_ secret: consuming SecretBytes) {
        guard secret.count == Self.byteCount, !Self.isZero(secret) else { return nil }
        self.init(checked: secret)
    }

    /// Decodes base64 (RFC 4648, section 4); nil unless it is the one text of such a key, 44 characters.
    public convenience init?(base64 text: Span<UInt8>) {
        guard let secret = SecretBytes(base64: text, count: Self.byteCount), !Self.isZero(secret) else { return nil }
        self.init(checked: secret)
    }

    /// - Parameter secret: ``byteCount`` bytes, not all zeros.
    init(checked secret: consuming SecretBytes) { self.secret = SharedSecret(secret) }

    static func isZero(_ secret: borrowing SecretBytes) -> Bool {
        secret.isEqual(to: SecretBytes(count: secret.count) { _ in })
    }

    /// Lends the bytes to `body`, until it returns. A copy that `body` makes is `body`'s to wipe.
    public func withBytes<Result: ~Copyable, Failure: Error>(
        _ body: (Span<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let secret = self.secret
        return try body(secret.span)
    }
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
