// SPDX-License-Identifier: Apache-2.0
import CWeftOpenSSL
import Glibc

#if canImport(CWeftIPSecMB)
    import CWeftIPSecMB
#endif

/// One direction's key, expanded for every cipher that this build has, in locked memory. Wiped when it goes.
@safe
public final class PacketKey: Sendable {
    public let suite: Suite
    let reference: Reference

    /// A key's memory without its ownership, for the packet path: valid as long as the ``PacketKey`` lives.
    @unsafe
    struct Reference: BitwiseCopyable, @unchecked Sendable {
        fileprivate static var rawOffset: Int { KeyPool.expandedSize }

        /// Where ipsec-mb's expanded key begins.
        let expanded: UnsafeMutableRawPointer
        let suite: Suite
        /// Tells keys apart for ciphers that keep the last one expanded; never reused.
        let serial: UInt64

        /// What ipsec-mb reads of its expanded form for packets of usual sizes: round keys, and powers of the hash key.
        private static let expandedSize = 1008

        /// Fetches what the cipher will read.
        @inline(__always)
        func prefetch() { unsafe Cache.prefetch(expanded, count: Self.expandedSize) }

        /// The key as it was given: `suite.keyLength` bytes.
        var raw: UnsafePointer<UInt8> {
            unsafe UnsafePointer((expanded + Self.rawOffset).assumingMemoryBound(to: UInt8.self))
        }
    }

    /// - Parameter bytes: 16 bytes for AES-128, 32 for AES-256; copied.
    public init(_ bytes: RawSpan) throws(EngineError) {
        guard let suite = Suite(keyLength: bytes.byteCount) else {
            throw .invalidKey("a key has 16 or 32 bytes, not \(bytes.byteCount)")
        }
        guard let (cell, serial) = unsafe KeyPool.shared.allocate() else { throw .outOfMemory }
        self.suite = suite
        unsafe reference = unsafe Reference(expanded: cell, suite: suite, serial: serial)
        // Safe: the cell is ours alone and larger than the raw key's place and 32 bytes.
        unsafe bytes.withUnsafeBytes { source in
            guard let base = source.baseAddress else { return }
            unsafe memcpy(cell + Reference.rawOffset, base, source.count)
        }
        #if canImport(CWeftIPSecMB)
            unsafe IPSecMB.shared?.expand(reference)
        #endif
    }

    /// - Parameter bytes: 16 or 32 bytes; copied. The caller wipes its own copy.
    public convenience init(_ bytes: [UInt8]) throws(EngineError) { unsafe try self.init(bytes.span.bytes) }

    /// Lends the key as it was given, 16 or 32 bytes, to hand it to another process; whoever copies it wipes the copy.
    public func withBytes<Result>(_ body: (RawSpan) -> Result) -> Result {
        // Safe: the cell holds that many bytes for as long as we live.
        body(unsafe RawSpan(_unsafeStart: reference.raw, byteCount: suite.keyLength))
    }

    deinit { unsafe KeyPool.shared.release(reference.expanded) }

    /// Whether two keys are the same, in constant time for keys of one suite.
    func isEqual(to other: PacketKey) -> Bool {
        guard suite == other.suite else { return false }
        return unsafe CRYPTO_memcmp(reference.raw, other.reference.raw, suite.keyLength) == 0
    }

    /// SHA-256 over a label, the SPI and the key: names a (key, SPI) pair without telling the key.
    func fingerprint(spi: UInt32) -> [UInt8] {
        var input: [UInt8] = []
        // An array that grows would leave a piece of the key behind.
        input.reserveCapacity(64)
        input += Array("weft transmit key".utf8)
        input.append(contentsOf: (0..<4).map { UInt8(truncatingIfNeeded: spi >> UInt32(24 - $0 * 8)) })
        for index in 0..<suite.keyLength { input.append(unsafe reference.raw[index]) }
        var digest = [UInt8](repeating: 0, count: Int(SHA256_DIGEST_LENGTH))
        _ = unsafe SHA256(input, input.count, &digest)
        unsafe input.withUnsafeMutableBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            unsafe explicit_bzero(base, bytes.count)
        }
        return digest
    }
}
