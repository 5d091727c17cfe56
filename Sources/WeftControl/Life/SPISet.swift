// SPDX-License-Identifier: Apache-2.0

/// The SPIs that a peer has offered in a session, so that none is taken twice: a key that comes again would start its
/// counter over.
///
/// Numbers that follow each other take one range. A peer that jumps about fills the set, and then has no more to offer.
struct SPISet {
    static let mostRanges = 4096
    /// In order, with gaps between them.
    private(set) var ranges: [ClosedRange<UInt32>] = []

    /// Whether the number is new and was added.
    mutating func insert(_ spi: UInt32) -> Bool {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound < spi { low = middle + 1 } else { high = middle }
        }
        // `low` is the first range that ends at or above the number.
        if low < ranges.count, ranges[low].contains(spi) { return false }
        let joinsLower = low > 0 && ranges[low - 1].upperBound &+ 1 == spi
        let joinsUpper = low < ranges.count && spi &+ 1 == ranges[low].lowerBound
        switch (joinsLower, joinsUpper) {
        case (true, true):
            ranges[low - 1] = ranges[low - 1].lowerBound...ranges[low].upperBound
            ranges.remove(at: low)
        case (true, false): ranges[low - 1] = ranges[low - 1].lowerBound...spi
        case (false, true): ranges[low] = spi...ranges[low].upperBound
        case (false, false):
            guard ranges.count < Self.mostRanges else { return false }
            ranges.insert(spi...spi, at: low)
        }
        return true
    }
}
