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
    /// Nil unless it is the canonical form of 16 bytes: 22 digits, whose last four bits are zero, and `==`.
    init?(base64 text: SharedSecret, at range: Range<Int>) {
        guard range.count == 24, text[range.lowerBound + 22] == UInt8(ascii: "="),
            text[range.lowerBound + 23] == UInt8(ascii: "=")
        else { return nil }
        struct NotCanonical: Error {}
        do throws(NotCanonical) {
            let decoded = try SecretBytes(count: Self.byteCount) { bytes throws(NotCanonical) in
                var bits: UInt32 = 0
                var pending = 0
                var written = 0
                for index in range.lowerBound..<range.lowerBound + 22 {
                    guard let digit = text[index].flatMap(Self.base64Value) else { throw NotCanonical() }
                    bits = bits << 6 | UInt32(digit)
                    pending += 6
                    guard pending >= 8 else { continue }
                    pending -= 8
                    bytes[written] = UInt8(truncatingIfNeeded: bits >> UInt32(pending))
                    written += 1
                }
                guard bits & 0xF == 0 else { throw NotCanonical() }
            }
            storage = SharedSecret(decoded)
        } catch {
            return nil
        }
    }

    private static func base64Value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): digit - UInt8(ascii: "A")
        case UInt8(ascii: "a")...UInt8(ascii: "z"): digit - UInt8(ascii: "a") + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0") + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
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
