// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

/// Random prefixes and addresses that meet often: from a few seeds, changed near the ends that prefixes have.
private struct Space {
    let family: IPAddress.Family
    private let seeds: [IPAddress]

    init(_ family: IPAddress.Family, using generator: inout SeededGenerator) {
        self.family = family
        seeds = (0..<4).map { _ in Self.random(family, using: &generator) }
    }

    private static func random(_ family: IPAddress.Family, using generator: inout SeededGenerator) -> IPAddress {
        family == .v4
            ? IPAddress(v4: generator.next(upperBound: .max)) : IPAddress(v6: generator.next(), generator.next())
    }

    /// An address that shares a random number of leading bits with a seed.
    func address(using generator: inout SeededGenerator) -> IPAddress {
        let seed = seeds[Int.random(in: seeds.indices, using: &generator)]
        let other = Self.random(family, using: &generator)
        let (high, low) = Prefix.mask(.random(in: 0...family.bitWidth, using: &generator))
        let bits = (seed.high & high | other.high & ~high, seed.low & low | other.low & ~low)
        return family == .v4 ? IPAddress(v4: UInt32(bits.0 >> 32)) : IPAddress(v6: bits.0, bits.1)
    }

    /// Now and then a default route, often a host.
    func prefix(using generator: inout SeededGenerator) -> Prefix {
        let length =
            switch Int.random(in: 0..<20, using: &generator) {
            case 0: 0
            case 1...3: family.bitWidth
            default: Int.random(in: 0...family.bitWidth, using: &generator)
            }
        let address = address(using: &generator)
        return Prefix(address, length: length) ?? Prefix(host: address)
    }

    func prefixes(_ count: Int, using generator: inout SeededGenerator) -> [Prefix] {
        Array(Set((0..<count).map { _ in prefix(using: &generator) }))
    }

    /// The addresses on both sides of a prefix's two ends.
    func borders(of prefix: Prefix) -> [IPAddress] {
        let (high, low) = Prefix.mask(prefix.length)
        let first = (prefix.address.high, prefix.address.low)
        let last = (first.0 | ~high, first.1 | ~low)
        if family == .v4 {
            let ends = (UInt32(first.0 >> 32), UInt32(last.0 >> 32))
            return [ends.0, ends.0 &- 1, ends.1, ends.1 &+ 1].map { IPAddress(v4: $0) }
        }
        let before = (first.1 == 0 ? first.0 &- 1 : first.0, first.1 &- 1)
        let after = (last.1 == .max ? last.0 &+ 1 : last.0, last.1 &+ 1)
        return [first, last, before, after].map { IPAddress(v6: $0.0, $0.1) }
    }
}

@Suite("Route tables against linear references")
struct RouteReferenceTests {
    @Test(
        "the longest prefix, for random addresses and at every prefix's borders", arguments: IPAddress.Family.allCases)
    func trie(family: IPAddress.Family) throws {
        var generator = SeededGenerator.fresh()
        for count in [0, 1, 2, 3, 5, 10, 30, 100, 400] {
            for _ in 0..<(count < 50 ? 40 : 4) {
                let space = Space(family, using: &generator)
                let prefixes = space.prefixes(count, using: &generator)
                let trie = PrefixTrie(prefixes.enumerated().map { ($0.element, UInt32($0.offset)) })
                let borders = prefixes.prefix(60).flatMap { space.borders(of: $0) }
                for address in borders + (0..<60).map({ _ in space.address(using: &generator) }) {
                    let expected = prefixes.indices.filter { Reference.covers(prefixes[$0], address) }
                        .max { prefixes[$0].length < prefixes[$1].length }
                    let found = trie.lookup(address)
                    try #require(
                        found == expected.map { UInt32($0) }, "seed \(generator.seed): \(address) in \(prefixes)")
                }
            }
        }
    }

    @Test("all lengths nested in one another", arguments: IPAddress.Family.allCases)
    func nested(family: IPAddress.Family) throws {
        let address =
            family == .v4 ? IPAddress(v4: 0xA5A5_5A5B) : IPAddress(v6: 0xA5A5_5A5A_0123_4567, 0x89AB_CDEF_5A5A_A5A5)
        let lengths = Array(0...family.bitWidth)
        let entries = try lengths.map { (try #require(Prefix(address, length: $0)), UInt32($0)) }
        let trie = PrefixTrie(entries)
        #expect(trie.lookup(address) == UInt32(family.bitWidth))
        // An address that differs first in one bit matches just the prefixes before that bit.
        for bit in 0..<family.bitWidth {
            let flip: (UInt64, UInt64) = bit < 64 ? (1 << UInt64(63 - bit), 0) : (0, 1 << UInt64(127 - bit))
            let other =
                family == .v4
                ? IPAddress(v4: UInt32((address.high ^ flip.0) >> 32))
                : IPAddress(v6: address.high ^ flip.0, address.low ^ flip.1)
            #expect(trie.lookup(other) == UInt32(bit), "bit \(bit)")
        }
    }

    @Test("the union of prefixes", arguments: IPAddress.Family.allCases)
    func addressSet(family: IPAddress.Family) throws {
        var generator = SeededGenerator.fresh()
        for count in [0, 1, 2, 5, 20, 100] {
            for _ in 0..<40 {
                // Both families together: neither may answer for the other.
                let space = Space(family, using: &generator)
                let other = Space(family == .v4 ? .v6 : .v4, using: &generator)
                var prefixes = space.prefixes(count, using: &generator)
                if count < 20 { prefixes.removeAll { $0.isDefault } }
                let all = (prefixes + other.prefixes(count / 2, using: &generator)).shuffled(using: &generator)
                let set = AddressSet(all)
                let borders = prefixes.prefix(40).flatMap { space.borders(of: $0) }
                for address in borders + (0..<40).map({ _ in space.address(using: &generator) }) {
                    let expected = all.contains { Reference.covers($0, address) }
                    try #require(set.contains(address) == expected, "seed \(generator.seed): \(address) in \(all)")
                }
            }
        }
    }

    /// Destination first, then source; a destination whose sources don't match gives way to a shorter one.
    private static func reference(
        _ routes: [(route: Route, slot: UInt32)], _ source: IPAddress, _ destination: IPAddress
    ) -> Int? {
        routes.filter {
            Reference.covers($0.route.source, source) && Reference.covers($0.route.destination, destination)
        }
        .max {
            ($0.route.destination.length, $0.route.source.length)
                < ($1.route.destination.length, $1.route.source.length)
        }.map { Int($0.slot) }
    }

    @Test(
        "pairs of prefixes: the longest destination, then the longest source", arguments: [1, 4, 12, 60], [1, 5, 30])
    func pairs(destinations: Int, sources: Int) throws {
        var generator = SeededGenerator.fresh()
        var fallbacks = 0
        for _ in 0..<(destinations * sources > 200 ? 2 : 12) {
            var routes: Set<Route> = []
            var spaces: [(source: Space, destination: Space)] = []
            for family in IPAddress.Family.allCases {
                let space = (source: Space(family, using: &generator), destination: Space(family, using: &generator))
                spaces.append(space)
                let pool = space.source.prefixes(max(sources * 2, 4), using: &generator)
                for destination in space.destination.prefixes(destinations, using: &generator) {
                    // Many sources for some destinations, so that they stand in a trie; few for others.
                    let count = Int.random(in: 1...sources, using: &generator)
                    routes.formUnion(
                        pool.shuffled(using: &generator).prefix(count).map {
                            Route(source: $0, destination: destination)
                        })
                }
            }
            let entries = routes.shuffled(using: &generator).enumerated().map {
                (route: $0.element, slot: UInt32($0.offset))
            }
            let table = RouteTable(entries)
            for index in 0..<400 {
                let space = spaces[index % 2]
                var (source, destination) = (
                    space.source.address(using: &generator), space.destination.address(using: &generator)
                )
                if index % 5 == 0, let entry = entries.randomElement(using: &generator) {
                    (source, destination) = (entry.route.source.address, entry.route.destination.address)
                }
                let expected = Self.reference(entries, source, destination)
                let found = table.slot(from: source, to: destination)
                try #require(found == expected, "seed \(generator.seed): \(source) to \(destination) in \(entries)")
                let longest = entries.filter { Reference.covers($0.route.destination, destination) }
                    .map(\.route.destination.length).max()
                if let found, entries[found].route.destination.length != longest { fallbacks += 1 }
            }
        }
        if destinations > 4 { #expect(fallbacks > 0, "seed \(generator.seed)") }
    }

    @Test("9 and more sources for one destination stand in a trie, which gives way to a shorter destination too")
    func sourceTrie() throws {
        let near = try #require(Prefix("10.2.3.0/24"))
        let far = try #require(Prefix("10.2.0.0/16"))
        let fallback = Route(source: try #require(Prefix("0.0.0.0/0")), destination: far)
        for count in [1, 8, 9, 40] {
            let routes = try (0..<count).map {
                Route(source: try #require(Prefix("10.1.\($0).0/24")), destination: near)
            }
            let table = RouteTable((routes + [fallback]).enumerated().map { ($0.element, UInt32($0.offset)) })
            let host = IPAddress(v4: 0x0A02_0301)
            for number in 0..<count {
                #expect(table.slot(from: IPAddress(v4: 0x0A01_0005 | UInt32(number) << 8), to: host) == number)
            }
            #expect(table.slot(from: IPAddress(v4: 0x0A01_FF05), to: host) == count)
            #expect(table.slot(from: IPAddress(v4: 0x0A01_0005), to: IPAddress(v4: 0x0A02_0401)) == count)
            #expect(table.slot(from: IPAddress(v4: 0x0A01_0005), to: IPAddress(v4: 0x0A03_0401)) == nil)
        }
    }
}
