// SPDX-License-Identifier: Apache-2.0

/// The addresses that a list of prefixes covers, less what is cut out of them: what a peer may send from, or to. Immutable.
///
/// Prefixes nest or are disjoint, so their union is a short sorted list of intervals.
final class AddressSet: Sendable {
    fileprivate struct Interval: BitwiseCopyable {
        let first: UInt128
        let last: UInt128
    }

    private let v4: FixedArray<Interval>
    private let v6: FixedArray<Interval>

    /// The set without its ownership.
    @safe
    struct View: BitwiseCopyable {
        fileprivate let v4: BorrowedArray<Interval>
        fileprivate let v6: BorrowedArray<Interval>
    }

    /// Valid as long as the set lives.
    @unsafe
    var view: View { unsafe View(v4: v4.borrowed, v6: v6.borrowed) }

    /// A prefix without parts of it.
    struct Region {
        let prefix: Prefix
        /// Disjoint prefixes within it, in ascending order.
        let holes: [Prefix]

        init(_ prefix: Prefix, without holes: [Prefix] = []) {
            self.prefix = prefix
            self.holes = holes
        }
    }

    convenience init(_ prefixes: some Sequence<Prefix>) { self.init(prefixes.map { Region($0) }) }

    /// The union of regions, of which some may fill others' holes.
    init(_ regions: [Region]) {
        v4 = FixedArray(Self.intervals(regions.filter { $0.prefix.family == .v4 }))
        v6 = FixedArray(Self.intervals(regions.filter { $0.prefix.family == .v6 }))
    }

    private static func intervals(_ regions: [Region]) -> [Interval] {
        var result: [Interval] = []
        for interval in regions.flatMap({ intervals($0) }).sorted(by: { $0.first < $1.first }) {
            guard let previous = result.last, interval.first <= previous.last || interval.first - previous.last == 1
            else {
                result.append(interval)
                continue
            }
            result[result.count - 1] = Interval(
                first: previous.first, last: max(previous.last, interval.last))
        }
        return result
    }

    private static func intervals(_ region: Region) -> [Interval] {
        let whole = interval(region.prefix)
        var result: [Interval] = []
        // The last address that is taken care of; nil before the first of all.
        var done = whole.first == 0 ? nil : whole.first - 1
        for hole in region.holes.map({ interval($0) }) {
            let first = done.map { $0 + 1 } ?? 0
            if hole.first > first { result.append(Interval(first: first, last: hole.first - 1)) }
            done = hole.last
        }
        if done != whole.last { result.append(Interval(first: done.map { $0 + 1 } ?? 0, last: whole.last)) }
        return result
    }

    private static func interval(_ prefix: Prefix) -> Interval {
        let first = bits(prefix.address)
        // A left-aligned IPv4 address has 96 zero bits behind it; they count as host bits.
        let host: UInt128 = prefix.length == 0 ? .max : (1 << UInt128(128 - prefix.length)) - 1
        return Interval(first: first, last: first | host)
    }

    @inline(__always)
    fileprivate static func bits(_ address: IPAddress) -> UInt128 {
        UInt128(address.high) << 64 | UInt128(address.low)
    }

    func contains(_ address: IPAddress) -> Bool { unsafe view.contains(address) }
}

extension AddressSet.View {
    /// Fetches the middle of the list, where a search begins.
    @inline(__always)
    func prefetch(_ family: IPAddress.Family) {
        let intervals = family == .v4 ? v4 : v6
        intervals.prefetch(intervals.count >> 1)
    }

    @inline(__always)
    func contains(_ address: IPAddress) -> Bool {
        let intervals = address.family == .v4 ? v4 : v6
        let bits = AddressSet.bits(address)
        // The last interval that begins at or before the address.
        var low = 0
        var high = intervals.count
        while low < high {
            let middle = (low &+ high) >> 1
            if intervals[middle].first <= bits { low = middle &+ 1 } else { high = middle }
        }
        return low > 0 && bits <= intervals[low &- 1].last
    }
}
