// SPDX-License-Identifier: Apache-2.0
import WeftControl

/// A 16-byte AES key out of a tunnel file.
///
/// It never prints (not through `print`, `dump` or string interpolation), and its memory is wiped when the last
/// reference to it goes.
public final class ManualKey: Sendable {
    /// Bytes in a key.
    public static let byteCount = 16

    private let storage: SharedSecret

    /// Takes a copy of the key's bytes; the caller still has to wipe its own. Nil unless there are 16.
    public init?(copying bytes: RawSpan) {
        guard bytes.byteCount == Self.byteCount else { return nil }
        storage = SharedSecret(
            SecretBytes(count: Self.byteCount) { copy in
                // Every bit pattern is a byte, and the index is below the count.
                for index in 0..<copy.count {
                    copy[index] = unsafe bytes.unsafeLoad(fromByteOffset: index, as: UInt8.self)
                }
            })
    }

    /// Decodes the base64 text (RFC 4648 section 4) at `range` of a file without leaving a copy anywhere else.
    /// Nil unless it is the canonical form of 16 bytes.
    init?(base64 text: SharedSecret, at range: Range<Int>) {
        guard let decoded = SecretBytes(base64: text.span.extracting(range), count: Self.byteCount) else { return nil }
        storage = SharedSecret(decoded)
    }

    /// Lends the 16 bytes to `body`, until it returns. A copy that `body` makes is `body`'s to wipe.
    public func withBytes<Result: ~Copyable, Failure: Error>(
        _ body: (RawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let storage = self.storage
        // `bytes` is unsafe for types with padding, and a UInt8 has none.
        return try body(unsafe storage.span.bytes)
    }
}

extension ManualKey: Equatable {
    /// Takes the same time wherever the keys differ.
    public static func == (left: ManualKey, right: ManualKey) -> Bool {
        left.storage.isEqual(to: right.storage)
    }
}

extension ManualKey: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Always "(hidden)".
    public var description: String { "(hidden)" }
    /// Always "(hidden)".
    public var debugDescription: String { description }
    /// Without children, so that `dump` shows nothing.
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}
