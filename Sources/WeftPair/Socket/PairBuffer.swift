// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft

/// Memory for one message, which may hold keys: locked where that is allowed, outside of core dumps, and wiped.
@safe
struct PairBuffer: ~Copyable, @unchecked Sendable {
    /// Bytes of the longest message.
    static let capacity = 65_536

    // Sendable, since it has one owner and no other thread knows the address.
    private let memory: UnsafeMutableRawBufferPointer

    init() {
        // Safe: whole pages, initialised before use, and freed by deinit only.
        unsafe memory = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.capacity, alignment: 4096)
        unsafe memory.initializeMemory(as: UInt8.self, repeating: 0)
        unsafe mlock(memory.baseAddress, memory.count)
        unsafe madvise(memory.baseAddress, memory.count, MADV_DONTDUMP)
    }

    deinit {
        wipe(Self.capacity)
        unsafe madvise(memory.baseAddress, memory.count, MADV_DODUMP)
        unsafe memory.deallocate()
    }

    var bytes: RawSpan {
        @_lifetime(borrow self)
        borrowing get {
            // Safe: the memory lives as long as self.
            let span = unsafe RawSpan(_unsafeBytes: UnsafeRawBufferPointer(memory))
            return unsafe _overrideLifetime(span, borrowing: self)
        }
    }

    var mutableBytes: MutableRawSpan {
        @_lifetime(&self)
        mutating get {
            // Safe: as above, and nobody else writes while self is borrowed.
            let span = unsafe MutableRawSpan(_unsafeBytes: memory)
            return unsafe _overrideLifetime(span, mutating: &self)
        }
    }

    /// What lies behind the first `count` bytes.
    @_lifetime(&self)
    mutating func room(after count: Int) -> MutableRawSpan {
        let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: memory[min(max(count, 0), memory.count)...])
        // Safe: as above.
        let span = unsafe MutableRawSpan(_unsafeBytes: rest)
        return unsafe _overrideLifetime(span, mutating: &self)
    }

    /// Wipes the first `count` bytes.
    borrowing func wipe(_ count: Int) {
        guard let base = unsafe memory.baseAddress else { return }
        unsafe explicit_bzero(base, min(max(count, 0), memory.count))
    }
}
