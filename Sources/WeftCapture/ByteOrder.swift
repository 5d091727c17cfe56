// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft

/// Whose bytes come first, as the machine that wrote a file had them.
enum ByteOrder {
    case big, little

    /// 16 bits at an offset, which must be there.
    func half(_ bytes: [UInt8], _ offset: Int) -> UInt16 {
        let (first, second) = (UInt16(bytes[offset]), UInt16(bytes[offset + 1]))
        return self == .big ? first << 8 | second : second << 8 | first
    }

    /// 32 bits at an offset, which must be there.
    func word(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
        let (first, second) = (UInt32(half(bytes, offset)), UInt32(half(bytes, offset + 2)))
        return self == .big ? first << 16 | second : second << 16 | first
    }
}
