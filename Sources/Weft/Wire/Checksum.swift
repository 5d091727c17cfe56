// SPDX-License-Identifier: Apache-2.0

/// The Internet checksum (RFC 1071): the ones' complement of a ones' complement sum of 16-bit words.
enum Checksum {
    /// Adds the words of `bytes` to a running sum. An odd last byte counts as the high half of a word, so only a
    /// sum's last part may be odd.
    @inline(__always)
    static func sum(_ bytes: RawSpan, from initial: UInt64 = 0) -> UInt64 {
        // Ones' complement sums don't depend on the byte order (RFC 1071 section 2B): add native words and swap once.
        // `all` adds whole 64-bit words and may wrap; `high` adds their upper halves, of which 2^32 fit. What the lower
        // halves add up to follows from both, which saves masking them.
        var all = SIMD8<UInt64>()
        var high = SIMD8<UInt64>()
        var offset = 0
        let end = bytes.byteCount
        while offset &+ 64 <= end {
            // Safe: the load checks its bounds, and any bits are integers.
            let words = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: SIMD8<UInt64>.self)
            all &+= words
            high &+= words &>> 32
            offset &+= 64
        }
        var native = (all &- (high &<< 32)).wrappedSum() &+ high.wrappedSum()
        while offset &+ 4 <= end {
            native &+= unsafe UInt64(bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
            offset &+= 4
        }
        if offset &+ 2 <= end {
            native &+= unsafe UInt64(bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self))
            offset &+= 2
        }
        if offset < end { native &+= UInt64(UInt16(bytes.load(at: offset, as: UInt8.self)).littleEndian) }
        return initial &+ UInt64(fold(native).bigEndian)
    }

    /// Folds a sum into 16 bits without complementing it.
    @inline(__always)
    static func fold(_ sum: UInt64) -> UInt16 {
        var folded = (sum & 0xFFFF_FFFF) &+ (sum >> 32)
        folded = (folded & 0xFFFF) &+ (folded >> 16)
        folded = (folded & 0xFFFF) &+ (folded >> 16)
        folded = (folded & 0xFFFF) &+ (folded >> 16)
        return UInt16(truncatingIfNeeded: folded)
    }

    /// The checksum field's value for a sum.
    @inline(__always)
    static func finish(_ sum: UInt64) -> UInt16 { ~fold(sum) }

    /// The checksum field's value once a word that it covers is another (RFC 1624, equation 3).
    @inline(__always)
    static func updated(_ checksum: UInt16, from old: UInt16, to new: UInt16) -> UInt16 {
        finish(UInt64(~checksum) &+ UInt64(~old) &+ UInt64(new))
    }

    /// The sum of the pseudo-header (RFC 9293 section 3.1, RFC 8200 section 8.1).
    @inline(__always)
    static func pseudoHeader(_ source: IPAddress, _ destination: IPAddress, length: Int, proto: UInt8) -> UInt64 {
        // Addresses are left-aligned, so the halves of either family sum the same way.
        var sum = UInt64(length) &+ UInt64(proto)
        sum &+= (source.high >> 32) &+ (source.high & 0xFFFF_FFFF)
        sum &+= (source.low >> 32) &+ (source.low & 0xFFFF_FFFF)
        sum &+= (destination.high >> 32) &+ (destination.high & 0xFFFF_FFFF)
        sum &+= (destination.low >> 32) &+ (destination.low & 0xFFFF_FFFF)
        return sum
    }
}
