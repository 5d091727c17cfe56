// SPDX-License-Identifier: Apache-2.0
import Weft

extension [UInt8] {
    /// The 16 bits at an offset in network order. The caller has checked the length.
    func half(at offset: Int) -> UInt16 { UInt16(self[offset]) << 8 | UInt16(self[offset + 1]) }

    /// The 32 bits at an offset in network order. The caller has checked the length.
    func word(at offset: Int) -> UInt32 { UInt32(half(at: offset)) << 16 | UInt32(half(at: offset + 2)) }
}

/// The checksum of ITU-T V.42, which a fingerprint holds.
enum CRC32 {
    static func checksum(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var remainder = UInt32.max
        for byte in bytes {
            remainder ^= UInt32(byte)
            for _ in 0..<8 { remainder = remainder >> 1 ^ (remainder & 1 == 0 ? 0 : 0xEDB8_8320) }
        }
        return ~remainder
    }
}
