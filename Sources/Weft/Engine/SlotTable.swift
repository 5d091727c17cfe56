// SPDX-License-Identifier: Apache-2.0

/// Finds a number's slot: open addressing, at most half full.
final class SlotTable: Sendable {
    fileprivate struct Entry: BitwiseCopyable {
        /// The highest where empty.
        var number: UInt32 = .max
        var slot: UInt32 = 0
    }

    private let entries: FixedArray<Entry>
    private let shift: UInt32

    /// The table without its ownership.
    @safe
    struct View: BitwiseCopyable {
        fileprivate let entries: BorrowedArray<Entry>
        fileprivate let shift: UInt32
    }

    /// Valid as long as the table lives.
    @unsafe
    var view: View { unsafe View(entries: entries.borrowed, shift: shift) }

    /// - Parameter places: distinct numbers but the highest, with their slots.
    init(_ places: [(number: UInt32, slot: Int)]) {
        var bits: UInt32 = 3
        while 1 << bits < places.count * 2 { bits += 1 }
        var entries = [Entry](repeating: Entry(), count: 1 << Int(bits))
        for (number, slot) in places {
            var index = Self.hash(number, shift: 32 - bits)
            while entries[index].number != .max { index = (index + 1) & (entries.count - 1) }
            entries[index] = Entry(number: number, slot: UInt32(slot))
        }
        self.entries = FixedArray(entries)
        shift = 32 - bits
    }

    @inline(__always)
    fileprivate static func hash(_ number: UInt32, shift: UInt32) -> Int { Int((number &* 0x9E37_79B1) &>> shift) }

    func slot(of number: UInt32) -> Int? { unsafe view.slot(of: number) }
}

extension SlotTable.View {
    @inline(__always)
    func slot(of number: UInt32) -> Int? {
        // Callers pass any number; the one that marks an empty entry is nobody's.
        guard number != .max else { return nil }
        var index = SlotTable.hash(number, shift: shift)
        while true {
            let entry = entries[index]
            if entry.number == number { return Int(entry.slot) }
            if entry.number == .max { return nil }
            index = (index &+ 1) & (entries.count &- 1)
        }
    }
}
