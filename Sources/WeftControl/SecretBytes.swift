// SPDX-License-Identifier: Apache-2.0
import CWeftOpenSSL
import Glibc

/// Key material with exactly one owner.
///
/// The bytes lie on pages of their own, so that these can be locked into memory (best effort: RLIMIT_MEMLOCK may forbid
/// it) and left out of core dumps without touching anybody else's. They're wiped when the owner goes. There is no
/// description and no copy: a secret leaves only through ``span``.
@safe
public struct SecretBytes: ~Copyable, @unchecked Sendable {
    // Sendable, since the bytes never change after initialisation.
    private let pages: UnsafeMutableRawBufferPointer
    /// How many bytes the secret has; 0 is allowed.
    public let count: Int

    /// A secret of `count` bytes (a negative count means 0), which `fill` writes. They start as zeros.
    ///
    /// When `fill` throws, what it wrote so far is wiped and its error passed on.
    public init<Failure: Error>(
        count: Int, fill: (inout MutableSpan<UInt8>) throws(Failure) -> Void
    ) throws(Failure) {
        self.init(zeros: max(0, count))
        // Safe: the pages hold at least `count` initialised bytes, and nobody else knows them yet.
        let start = unsafe pages.baseAddress?.assumingMemoryBound(to: UInt8.self)
        guard let start = unsafe start else { return }
        var bytes = unsafe MutableSpan(_unsafeStart: start, count: self.count)
        try fill(&bytes)
    }

    /// A secret with the bytes of `source`. Wiping `source` stays its owner's duty.
    public init(copying source: Span<UInt8>) {
        self.init(count: source.count) { bytes in
            for index in source.indices { bytes[index] = source[index] }
        }
    }

    private init(zeros count: Int) {
        let pageSize = max(sysconf(Int32(_SC_PAGESIZE)), 4096)
        let size = (max(count, 1) + pageSize - 1) / pageSize * pageSize
        // Safe: whole pages, initialised before use, and freed by deinit only.
        unsafe pages = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: pageSize)
        unsafe pages.initializeMemory(as: UInt8.self, repeating: 0)
        unsafe mlock(pages.baseAddress, pages.count)
        unsafe madvise(pages.baseAddress, pages.count, MADV_DONTDUMP)
        // Whoever is forked off this process finds zeros.
        unsafe madvise(pages.baseAddress, pages.count, MADV_WIPEONFORK)
        self.count = count
    }

    deinit {
        // Safe: the last use of pages that this value alone owns. Other owners of these pages get them as they were.
        unsafe OPENSSL_cleanse(pages.baseAddress, pages.count)
        unsafe madvise(pages.baseAddress, pages.count, MADV_DODUMP)
        unsafe madvise(pages.baseAddress, pages.count, MADV_KEEPONFORK)
        // Where all memory is locked the pages' next owner may count on that.
        if !ProcessMemory.isLocked { unsafe munlock(pages.baseAddress, pages.count) }
        unsafe pages.deallocate()
    }

    /// The bytes, lent for as long as the secret is borrowed.
    public var span: Span<UInt8> {
        @_lifetime(borrow self)
        borrowing get {
            unsafe _overrideLifetime(Span(_unsafeElements: memory), borrowing: self)
        }
    }

    /// The bytes, for as long as the secret lives, wherever it is held: they stay where they are and never change.
    @unsafe
    var memory: UnsafeBufferPointer<UInt8> {
        unsafe UnsafeRawBufferPointer(rebasing: pages[..<count]).assumingMemoryBound(to: UInt8.self)
    }

    /// Whether both secrets hold the same bytes. The time taken depends on the lengths only.
    public borrowing func isEqual(to other: borrowing SecretBytes) -> Bool {
        // Safe: both hold at least `count` bytes.
        unsafe count == other.count && CRYPTO_memcmp(pages.baseAddress, other.pages.baseAddress, count) == 0
    }
}
