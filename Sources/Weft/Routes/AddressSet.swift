// SPDX-License-Identifier: Apache-2.0

/// The addresses that a list of prefixes covers: what a peer may send from, or to. Immutable.
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

    init(_ prefixes: some Sequence<Prefix>) {
        let prefixes = Array(prefixes)
        v4 = FixedArray(Self.intervals(prefixes.filter { $0.family == .v4 }))
        v6 = FixedArray(Self.intervals(prefixes.filter { $0.family == .v6 }))
    }

    private static func intervals(_ prefixes: [Prefix]) -> [Interval] {
        var result: [Interval] = []
        for prefix in prefixes.sorted(by: { ($0.address, $0.length) < ($1.address, $1.length) }) {
            let first = bits(prefix.address)
            // A left-aligned IPv4 address has 96 zero bits behind it; they count as host bits.
            let host: UInt128 = prefix.length == 0 ? .max : (1 << UInt128(128 - prefix.length)) - 1
            let last = first | host
            if let previous = result.last, previous.last >= last { continue }
            result.append(Interval(first: first, last: last))
        }
        return result
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
