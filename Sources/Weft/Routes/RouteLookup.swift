// SPDX-License-Identifier: Apache-2.0

/// A packet of a batch whose network is looked for.
struct RouteLookup: BitwiseCopyable {
    static let none = UInt32.max

    let source: IPAddress
    let destination: IPAddress
    /// Which packet of the batch it is.
    let origin: UInt32
    /// Where the IP packet begins in what the overlay handed over.
    let offset: UInt32
    /// The network's slot; ``none`` where no route matches.
    var slot = RouteLookup.none
}

extension RouteTable.View {
    /// Walks that go on side by side: as many fetches as a core keeps under way at once.
    private static var group: Int { 16 }

    /// Finds the networks of several packets.
    ///
    /// In a large table each step of a walk waits for memory; there the walks of a group go on side by side, a step each
    /// in turn, so that they wait together.
    @inline(__always)
    func find(_ lookups: inout FixedArray<RouteLookup>) {
        guard isLarge else {
            var previous: RouteLookup?
            for index in 0..<lookups.count {
                var lookup = lookups[index]
                if let previous, previous.destination == lookup.destination, previous.source == lookup.source {
                    lookup.slot = previous.slot
                } else {
                    let slot = slot(from: lookup.source, to: lookup.destination)
                    lookup.slot = slot.map { UInt32($0) } ?? RouteLookup.none
                }
                lookups[index] = lookup
                previous = lookup
            }
            return
        }
        var first = 0
        while first < lookups.count {
            let end = min(first &+ Self.group, lookups.count)
            findGroup(first..<end, of: &lookups)
            first = end
        }
    }

    private func findGroup(_ group: Range<Int>, of lookups: inout FixedArray<RouteLookup>) {
        // A walk's node, then its leaf, then its destination.
        var places = InlineArray<16, UInt32>(repeating: 0)
        var walking: UInt16 = group.count == 16 ? .max : (1 << UInt16(group.count)) - 1
        var depth = 0
        while walking != 0 {
            var left = walking
            while left != 0 {
                let lane = left.trailingZeroBitCount
                left &= left &- 1
                let address = lookups[group.lowerBound &+ lane].destination
                switch trie(for: address).step(from: places[lane], address, depth: depth) {
                case .down(let node): places[lane] = node
                case .leaf(let leaf):
                    places[lane] = UInt32(leaf)
                    walking &= ~(1 << UInt16(lane))
                }
            }
            depth &+= PrefixTrie.stride
        }
        for lane in 0..<group.count {
            let address = lookups[group.lowerBound &+ lane].destination
            places[lane] = trie(for: address).value(at: Int(places[lane])) ?? RouteTable.none
            prefetch(destination: places[lane])
        }
        for lane in 0..<group.count {
            let index = group.lowerBound &+ lane
            let slot = slot(from: lookups[index].source, destination: places[lane])
            lookups[index].slot = slot.map { UInt32($0) } ?? RouteLookup.none
        }
    }
}
