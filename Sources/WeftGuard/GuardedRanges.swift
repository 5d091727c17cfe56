// SPDX-License-Identifier: Apache-2.0
import Weft

/// Which addresses a tunnel is to carry: those of its prefixes, but for what main routes by a longer prefix.
///
/// An address counts by the longest of all prefixes that cover it, as in one routing table; where one of the tunnel's and one
/// of main's are equally long the tunnel's wins, as its rules have it.
enum GuardedRanges {
    /// The first and the last address of a range.
    struct Range: Hashable, CustomStringConvertible {
        let first: IPAddress
        let last: IPAddress

        /// As nft(8) reads it: an interval, or one address.
        var description: String { first == last ? "\(first)" : "\(first)-\(last)" }
    }

    /// The ranges in ascending order; they don't touch one another.
    /// - Parameters:
    ///   - guarded: the tunnel's prefixes of one family.
    ///   - others: main's routes of that family.
    static func ranges(_ guarded: some Sequence<Prefix>, except others: some Sequence<Prefix>) -> [Range] {
        let guarded = Set(guarded)
        if guarded.isEmpty { return [] }
        // A prefix comes before those that it covers.
        let sorted = Set(others).union(guarded).sorted()
        var sweep = Sweep()
        for prefix in sorted { sweep.open(prefix, isGuarded: guarded.contains(prefix)) }
        sweep.finish()
        return sweep.ranges
    }

    /// Walks over the addresses in ascending order, and knows the prefixes that it is in.
    private struct Sweep {
        var ranges: [Range] = []
        private var stack: [(prefix: Prefix, isGuarded: Bool)] = []
        /// The first address that isn't decided yet; nil past the last one of all.
        private var next: IPAddress?

        mutating func open(_ prefix: Prefix, isGuarded: Bool) {
            close { $0.contains(prefix) }
            if let top = stack.last, let next, next < prefix.address, let before = prefix.address.predecessor {
                add(next, before, top.isGuarded)
            }
            next = prefix.address
            stack.append((prefix, isGuarded))
        }

        mutating func finish() { close { _ in false } }

        /// Leaves the innermost prefixes until one holds on.
        private mutating func close(until holds: (Prefix) -> Bool) {
            while let top = stack.last, !holds(top.prefix) {
                let last = top.prefix.last
                if let next, next <= last { add(next, last, top.isGuarded) }
                next = last.successor
                stack.removeLast()
            }
        }

        private mutating func add(_ first: IPAddress, _ last: IPAddress, _ isGuarded: Bool) {
            guard isGuarded else { return }
            if let before = ranges.last, before.last.successor == first {
                ranges[ranges.count - 1] = Range(first: before.first, last: last)
            } else {
                ranges.append(Range(first: first, last: last))
            }
        }
    }
}

extension Prefix {
    /// The last address that it covers.
    var last: IPAddress {
        let host =
            length >= 64
            ? (UInt64(0), length >= 128 ? 0 : UInt64.max >> UInt64(length - 64)) : (.max >> UInt64(length), .max)
        switch family {
        case .v4: return IPAddress(v4: UInt32(truncatingIfNeeded: (address.high | host.0) >> 32))
        case .v6: return IPAddress(v6: address.high | host.0, address.low | host.1)
        }
    }
}

extension IPAddress {
    /// The next address; nil after the last one of its family.
    var successor: IPAddress? {
        switch family {
        case .v4: return v4Bits == .max ? nil : IPAddress(v4: v4Bits + 1)
        case .v6:
            let (sum, carry) = low.addingReportingOverflow(1)
            if !carry { return IPAddress(v6: high, sum) }
            return high == .max ? nil : IPAddress(v6: high + 1, 0)
        }
    }

    /// The address before; nil before the first one of its family.
    var predecessor: IPAddress? {
        switch family {
        case .v4: return v4Bits == 0 ? nil : IPAddress(v4: v4Bits - 1)
        case .v6:
            let (rest, borrow) = low.subtractingReportingOverflow(1)
            if !borrow { return IPAddress(v6: high, rest) }
            return high == 0 ? nil : IPAddress(v6: high - 1, .max)
        }
    }
}
