// SPDX-License-Identifier: Apache-2.0

/// Finds the virtual network for a packet: of all routes that match both addresses the one with the longest
/// destination prefix, then the longest source prefix. Immutable.
final class RouteTable: Sendable {
    private struct Destination: BitwiseCopyable {
        /// This prefix's sources, longest first: a range of `sources`.
        var first: UInt32
        var count: UInt32
        /// The next shorter destination prefix, whose routes are tried when no source matches here.
        var parent: UInt32
        /// Instead of the range, where many sources share a destination: an index into `sourceTries`.
        var trie: UInt32
    }

    private struct Source: BitwiseCopyable {
        let prefix: Prefix
        let slot: UInt32
    }

    private static let none = UInt32.max
    /// Up to so many sources a scan is faster than a trie.
    private static let scanLimit = 8

    private let v4: PrefixTrie
    private let v6: PrefixTrie
    private let destinations: FixedArray<Destination>
    private let sources: FixedArray<Source>
    private let sourceTries: [SourceTrie]

    /// For the few destinations that have many sources.
    private final class SourceTrie: Sendable {
        let trie: PrefixTrie
        init(_ entries: [PrefixTrie.Entry]) { trie = PrefixTrie(entries) }
    }

    /// - Parameter routes: distinct pairs, each with the slot of the network that owns it.
    init(_ routes: [(route: Route, slot: UInt32)]) {
        var bySource: [Prefix: [Source]] = [:]
        for (route, slot) in routes {
            bySource[route.destination, default: []].append(Source(prefix: route.source, slot: slot))
        }
        // Shorter first: a prefix's parent is in the list before it.
        let prefixes = bySource.keys.sorted { ($0.length, $0.address) < ($1.length, $1.address) }
        var indices: [Prefix: UInt32] = [:]
        var destinations: [Destination] = []
        var sources: [Source] = []
        var tries: [SourceTrie] = []
        let lengths = Set(prefixes.map(\.length)).sorted(by: >)
        for prefix in prefixes {
            let own = (bySource[prefix] ?? []).sorted { $0.prefix.length > $1.prefix.length }
            let parent = lengths.lazy.filter { $0 < prefix.length }
                .compactMap { Prefix(prefix.address, length: $0).flatMap { indices[$0] } }.first
            var destination = Destination(
                first: UInt32(sources.count), count: UInt32(own.count), parent: parent ?? Self.none, trie: Self.none)
            if own.count > Self.scanLimit {
                destination.trie = UInt32(tries.count)
                tries.append(SourceTrie(own.map { ($0.prefix, $0.slot) }))
            } else {
                sources.append(contentsOf: own)
            }
            indices[prefix] = UInt32(destinations.count)
            destinations.append(destination)
        }
        func trie(_ family: IPAddress.Family) -> PrefixTrie {
            PrefixTrie(indices.filter { $0.key.family == family }.map { ($0.key, $0.value) })
        }
        v4 = trie(.v4)
        v6 = trie(.v6)
        self.destinations = FixedArray(destinations)
        self.sources = FixedArray(sources)
        sourceTries = tries
    }

    /// The slot of the network that carries packets from `source` to `destination`, both of one family.
    @inline(__always)
    func slot(from source: IPAddress, to destination: IPAddress) -> Int? {
        let longest = destination.family == .v4 ? v4.lookup(destination) : v6.lookup(destination)
        guard var index = longest else { return nil }
        while index != Self.none {
            let entry = destinations[Int(index)]
            if entry.trie != Self.none {
                if let slot = sourceTries[Int(entry.trie)].trie.lookup(source) { return Int(slot) }
            } else {
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
