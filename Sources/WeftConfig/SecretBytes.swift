// SPDX-License-Identifier: Apache-2.0
import CWeftOpenSSL
import Glibc

/// Bytes that are wiped when their last owner lets go: a tunnel file's text, a key.
///
/// They never change after `init`, so any thread may read them.
@safe
final class SecretBytes: @unchecked Sendable {
    // `@unchecked` because pointers aren't Sendable: only `init` writes here, before the object is shared.
    private let storage: UnsafeMutableRawBufferPointer
    /// How many bytes there are; the allocation may be larger.
    let count: Int

    /// Takes a copy of `bytes`.
    init(copying bytes: RawSpan) {
        count = bytes.byteCount
        unsafe storage = .allocate(byteCount: max(1, count), alignment: 1)
        // The allocation holds `count` bytes or more.
        unsafe bytes.withUnsafeBytes { unsafe storage.copyMemory(from: $0) }
    }

    /// Allocates `capacity` bytes, lets `fill` write some of them, and keeps as many as it says it wrote.
    ///
    /// - Parameter fill: gets zeroed bytes that it may use only until it returns.
    init<Failure: Error>(capacity: Int, fill: (inout MutableRawSpan) throws(Failure) -> Int) throws(Failure) {
        unsafe storage = .allocate(byteCount: max(1, capacity), alignment: 1)
        unsafe storage.initializeMemory(as: UInt8.self, repeating: 0)
        // The span can't outlive the allocation, which `deinit` (or the wipe below, if `fill` throws) ends.
        var span = unsafe MutableRawSpan(_unsafeBytes: storage)
        do throws(Failure) {
            count = min(max(0, try fill(&span)), capacity)
        } catch {
            // A class that throws before all its properties are set runs no deinit.
            unsafe Self.wipe(storage)
            throw error
        }
    }

    deinit {
        unsafe Self.wipe(storage)
    }

    @unsafe
    private static func wipe(_ storage: UnsafeMutableRawBufferPointer) {
        if let base = storage.baseAddress {
            unsafe explicit_bzero(base, storage.count)
        }
        unsafe storage.deallocate()
    }

    /// The bytes, which live as long as this object is held.
    var bytes: RawSpan {
        @_lifetime(borrow self)
        get {
            // `storage` lives as long as `self` and is never written after `init`.
            unsafe _overrideLifetime(
                RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: storage[..<count])), borrowing: self)
        }
    }

    /// The bytes, as `bytes` has them.
    var span: Span<UInt8> {
        @_lifetime(borrow self)
        get {
            // As above; every bit pattern is a byte.
            unsafe _overrideLifetime(
                Span(_unsafeBytes: UnsafeRawBufferPointer(rebasing: storage[..<count])), borrowing: self)
        }
    }

    /// The byte at `index`, or nil past the end.
    subscript(index: Int) -> UInt8? {
        guard index >= 0, index < count else { return nil }
        return unsafe storage[index]  // checked on the line above
    }

    /// Whether both hold the same bytes; takes the same time wherever they differ.
    func isEqual(to other: SecretBytes) -> Bool {
        guard count == other.count else { return false }
        // Both allocations hold at least `count` bytes.
        return unsafe CRYPTO_memcmp(storage.baseAddress, other.storage.baseAddress, count) == 0
    }
}
