// SPDX-License-Identifier: Apache-2.0
@testable import Weft

extension RawSpan {
    /// A copy of the bytes from `start` on.
    func array(from start: Int = 0) -> [UInt8] { array(min(start, byteCount)..<byteCount) }

    func array(_ range: Range<Int>) -> [UInt8] {
        var copy = [UInt8](repeating: 0, count: range.count)
        copy.withMutableBytes { $0.copy(extracting(range), to: 0) }
        return copy
    }

    /// The byte at an offset; 0 behind the end, so that an input is never too short to steer by.
    func control(_ offset: Int) -> UInt8 { offset < byteCount ? load(at: offset) : 0 }
}

extension [UInt8] {
    mutating func withMutableBytes<Result>(_ body: (inout MutableRawSpan) -> Result) -> Result {
        var elements = mutableSpan
        var bytes = unsafe elements.mutableBytes
        return body(&bytes)
    }

    /// Stores an integer in network order, as far as the bytes reach.
    mutating func put<Value: FixedWidthInteger>(_ value: Value, at offset: Int) {
        for index in 0..<Value.bitWidth / 8 where offset + index < count {
            self[offset + index] = UInt8(truncatingIfNeeded: value >> (Value.bitWidth - 8 - index * 8))
        }
    }

    /// The Internet checksum's sum over a range, naively.
    func sum(_ range: Range<Int>, from initial: UInt32 = 0) -> UInt32 {
        var sum = initial
        for index in range {
            sum += UInt32(self[index]) << (((index - range.lowerBound) & 1) == 0 ? 8 : 0)
            sum = (sum & 0xFFFF) + (sum >> 16)
        }
        return sum
    }
}

/// Whether `bytes` hold one whole IP packet, perhaps with padding behind it.
func isWholePacket(_ bytes: [UInt8]) -> Bool {
    guard let first = bytes.first else { return false }
    func word(_ offset: Int) -> Int { Int(bytes[offset]) << 8 | Int(bytes[offset + 1]) }
    switch first >> 4 {
    case 4: return bytes.count >= 20 && first & 15 >= 5 && Int(first & 15) * 4 <= word(2) && word(2) <= bytes.count
    case 6: return bytes.count >= 40 && 40 + word(4) <= bytes.count
    default: return false
    }
}
