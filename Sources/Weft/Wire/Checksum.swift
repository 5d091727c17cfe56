// SPDX-License-Identifier: Apache-2.0

/// The Internet checksum (RFC 1071): the ones' complement of a ones' complement sum of 16-bit words.
enum Checksum {
    /// Adds the words of `bytes` to a running sum. An odd last byte counts as the high half of a word, so only a
    /// sum's last part may be odd.
    @inline(__always)
    static func sum(_ bytes: RawSpan, from initial: UInt64 = 0) -> UInt64 {
        // Ones' complement sums don't depend on the byte order (RFC 1071 section 2B): add native words and swap once.
        // Lanes of 64 bits hold 2^32 additions of 32, far more than the 2^14 of a 64 KiB packet.
        var even = SIMD4<UInt64>()
        var odd = SIMD4<UInt64>()
        var offset = 0
        let end = bytes.byteCount
        let low = SIMD4<UInt64>(repeating: 0xFFFF_FFFF)
        while offset &+ 32 <= end {
            // Safe: the load checks its bounds, and any bits are integers.
            let words = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: SIMD4<UInt64>.self)
            even &+= words & low
            odd &+= words &>> 32
            offset &+= 32
        }
        var native = (even &+ odd).wrappedSum()
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
