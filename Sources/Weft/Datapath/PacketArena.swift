// SPDX-License-Identifier: Apache-2.0

/// Memory that packets lie in: page-aligned, of a fixed size, with one owner. Pages that are never touched cost nothing.
@safe
public struct PacketArena: ~Copyable, @unchecked Sendable {
    private let memory: UnsafeMutableRawBufferPointer

    /// - Parameter capacity: bytes; at least 1.
    public init(capacity: Int) {
        unsafe memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(capacity, 1), alignment: 4096)
    }

    deinit { unsafe memory.deallocate() }

    public var capacity: Int { unsafe memory.count }

    /// All of the memory, to read. What was never written holds arbitrary bytes.
    public var bytes: RawSpan {
        @_lifetime(borrow self)
        get {
            // Safe: the memory lives as long as self, to which the span's lifetime is bound.
            let span = unsafe RawSpan(_unsafeBytes: UnsafeRawBufferPointer(memory))
            return unsafe _overrideLifetime(span, borrowing: self)
        }
    }

    /// All of the memory, to write.
    public var mutableBytes: MutableRawSpan {
        @_lifetime(&self)
        mutating get {
            // Safe: as above, and exclusive access to self is exclusive access to its memory.
            let span = unsafe MutableRawSpan(_unsafeBytes: memory)
            return unsafe _overrideLifetime(span, mutating: &self)
        }
    }
}
