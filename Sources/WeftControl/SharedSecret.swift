// SPDX-License-Identifier: Apache-2.0

/// Secret bytes with several owners, wiped when the last one lets go.
package final class SharedSecret: Sendable {
    private let bytes: SecretBytes

    package init(_ bytes: consuming SecretBytes) { self.bytes = bytes }

    /// How many bytes the secret has.
    package var count: Int { bytes.count }

    /// The bytes, which live as long as this object is held.
    package var span: Span<UInt8> {
        @_lifetime(borrow self)
        get {
            // The secret lives as long as `self`.
            unsafe _overrideLifetime(Span(_unsafeElements: bytes.memory), borrowing: self)
        }
    }

    /// The byte at `index`, or nil where there is none.
    package subscript(index: Int) -> UInt8? {
        let span = span
        guard index >= 0, index < span.count else { return nil }
        return span[index]
    }

    /// Whether both hold the same bytes. The time taken depends on the lengths only.
    package func isEqual(to other: SharedSecret) -> Bool { bytes.isEqual(to: other.bytes) }
}
