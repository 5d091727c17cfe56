// SPDX-License-Identifier: Apache-2.0

/// Finds the virtual network for a packet: of all routes that match both addresses the one with the longest
/// destination prefix, then the longest source prefix. Immutable.
final class RouteTable: Sendable {
    fileprivate struct Destination: BitwiseCopyable {
        /// The longest of this prefix's sources, which mostly is the only one.
        var longest: Source
        /// The others, longest first: a range of `sources`.
        var first: UInt32
        var count: UInt32
        /// The next shorter destination prefix, whose routes are tried when no source matches here.
        var parent: UInt32
        /// Instead of the range, where many sources share a destination: an index into `tries`.
        var trie: UInt32
    }

    fileprivate struct Source: BitwiseCopyable {
        let prefix: Prefix
        let slot: UInt32
    }

    static let none = UInt32.max
    /// Up to so many sources a scan is faster than a trie.
    private static let scanLimit = 8

    private let v4: PrefixTrie
    private let v6: PrefixTrie
    private let destinations: FixedArray<Destination>
    private let sources: FixedArray<Source>
    private let tries: [PrefixTrie]
    private let trieViews: FixedArray<PrefixTrie.View>

    /// The table without its ownership.
    @safe
    struct View: BitwiseCopyable {
        fileprivate let v4: PrefixTrie.View
        fileprivate let v6: PrefixTrie.View
        fileprivate let destinations: BorrowedArray<Destination>
        fileprivate let sources: BorrowedArray<Source>
        fileprivate let tries: BorrowedArray<PrefixTrie.View>
    }

    /// Valid as long as the table lives.
    @unsafe
    var view: View {
        unsafe View(
            v4: v4.view, v6: v6.view, destinations: destinations.borrowed, sources: sources.borrowed,
            tries: trieViews.borrowed)
    }

    /// The order that tables are made from: a prefix comes before those that it covers, and of its sources the longest
    /// first.
    static func precedes(_ one: Route, _ other: Route) -> Bool {
        guard one.destination == other.destination else { return one.destination < other.destination }
        guard one.source.length == other.source.length else { return one.source.length > other.source.length }
        return one.source < other.source
    }

    /// - Parameter routes: distinct pairs, each with the slot of the network that owns it.
    convenience init(_ routes: [(route: Route, slot: UInt32)]) {
        self.init(sorted: routes.sorted { Self.precedes($0.route, $1.route) })
    }

    /// - Parameter routes: as above, in the order of ``precedes(_:_:)``.
    init(sorted routes: [(route: Route, slot: UInt32)]) {
        var destinations: [Destination] = []
        var sources: [Source] = []
        var tries: [PrefixTrie] = []
        var entries: (v4: [PrefixTrie.Entry], v6: [PrefixTrie.Entry]) = ([], [])
        // The prefixes that cover the current one, the longest last.
        var covering: [(prefix: Prefix, index: UInt32)] = []
        var first = 0
        while first < routes.count {
            let prefix = routes[first].route.destination
            var end = first + 1
            while end < routes.count, routes[end].route.destination == prefix { end += 1 }
            while let last = covering.last, !last.prefix.contains(prefix) { covering.removeLast() }
            let index = UInt32(destinations.count)
            var destination = Destination(
                longest: Source(prefix: routes[first].route.source, slot: routes[first].slot),
                first: UInt32(sources.count), count: UInt32(end - first - 1),
                parent: covering.last?.index ?? Self.none, trie: Self.none)
            let others = routes[first + 1..<end].lazy.map { Source(prefix: $0.route.source, slot: $0.slot) }
            if end - first > Self.scanLimit {
                destination.trie = UInt32(tries.count)
                tries.append(PrefixTrie(routes[first..<end].map { ($0.route.source, $0.slot) }))
            } else {
                sources.append(contentsOf: others)
            }
            destinations.append(destination)
            if prefix.family == .v4 { entries.v4.append((prefix, index)) } else { entries.v6.append((prefix, index)) }
            covering.append((prefix, index))
            first = end
        }
        v4 = PrefixTrie(sorted: entries.v4)
        v6 = PrefixTrie(sorted: entries.v6)
        self.destinations = FixedArray(destinations)
        self.sources = FixedArray(sources)
        self.tries = tries
        trieViews = FixedArray(tries.map { unsafe $0.view })
    }

    /// The slot of the network that carries packets from `source` to `destination`, both of one family.
    func slot(from source: IPAddress, to destination: IPAddress) -> Int? {
        unsafe view.slot(from: source, to: destination)
    }
}

extension RouteTable.View {
    /// As ``RouteTable/slot(from:to:)``.
    @inline(__always)
    func slot(from source: IPAddress, to destination: IPAddress) -> Int? {
        guard let index = trie(for: destination).lookup(destination) else { return nil }
        return slot(from: source, destination: index)
    }

    @inline(__always)
    func trie(for address: IPAddress) -> PrefixTrie.View { address.family == .v4 ? v4 : v6 }

    /// Whether lookups would mostly wait for memory.
    @inline(__always)
    var isLarge: Bool { v4.isLarge || v6.isLarge }

    /// Fetches a destination prefix's entry.
    @inline(__always)
    func prefetch(destination index: UInt32) { destinations.prefetch(Int(index)) }

    /// The slot of the network that carries packets from `source` to a destination prefix, or to a shorter one that
    /// covers it; `index` may be ``RouteTable/none``.
    @inline(__always)
    func slot(from source: IPAddress, destination index: UInt32) -> Int? {
        var index = index
        while index != RouteTable.none {
            let entry = destinations[Int(index)]
            if entry.trie != RouteTable.none {
                if let slot = tries[Int(entry.trie)].lookup(source) { return Int(slot) }
            } else {
                if entry.longest.prefix.contains(source) { return Int(entry.longest.slot) }
                var position = Int(entry.first)
                let end = position &+ Int(entry.count)
                while position < end {
                    let candidate = sources[position]
                    if candidate.prefix.contains(source) { return Int(candidate.slot) }
                    position &+= 1
                }
            }
            index = entry.parent
        }
        return nil
    }
}
