// SPDX-License-Identifier: Apache-2.0

/// Which sources a network's peer may send from, where other networks have a part of its prefixes.
///
/// What a peer sends is held against the route table as a packet to its source would be: the longest match has to lead to that
/// peer. What others own by a longer prefix is cut out of a peer's sources when a snapshot is made, so that a packet takes
/// no look-up more. Only where our side of the routes decides, too, is the table asked for each packet.
struct CryptokeyRouting {
    /// Instead of the set of all that a network's routes lead to.
    struct Permit {
        let sources: AddressSet
        /// Whether the table has to be asked: the set may hold too much.
        let asksRoutes: Bool
    }

    /// By slot; only of networks that share addresses with others.
    private(set) var permits: [Int: Permit] = [:]

    typealias Owned = (route: Route, slot: UInt32)

    /// A destination prefix with its routes. Those that it covers follow it.
    private struct Node {
        let prefix: Prefix
        let routes: Range<Int>
        /// The first node behind those that it covers.
        var end: Int
    }

    /// How a prefix that is covered stands to some of our side's prefixes.
    private enum Overlap {
        case none
        case some
        case all
    }

    /// Up to so many networks of one prefix have what it covers cut out each; beyond that the table is asked.
    private static let mostOfOne = 8

    private let owned: [Owned]
    private var nodes: [Node] = []

    /// - Parameters:
    ///   - owned: in the order of ``RouteTable/precedes(_:_:)``.
    ///   - receivers: networks that only receive, with routes to more than single addresses.
    init(_ owned: [Owned], receivers: [(slot: Int, routes: [Route])]) {
        self.owned = owned
        guard Self.overlap(owned) || !receivers.isEmpty else { return }
        nodes = Self.nodes(owned)
        var regions: [Int: (places: [AddressSet.Region], asksRoutes: Bool)] = [:]
        for index in nodes.indices {
            for (slot, sources) in sources(of: nodes[index]) {
                let (cut, asksRoutes) = cut(index, slot: slot, sources)
                regions[slot, default: ([], false)].places.append(.init(nodes[index].prefix, without: cut))
                if asksRoutes { regions[slot]?.asksRoutes = true }
            }
        }
        for (slot, region) in regions where region.asksRoutes || region.places.contains(where: { !$0.holes.isEmpty }) {
            permits[slot] = Permit(sources: AddressSet(region.places), asksRoutes: region.asksRoutes)
        }
        for (slot, routes) in receivers {
            let places = Dictionary(grouping: routes, by: \.destination).map { prefix, routes in
                AddressSet.Region(prefix, without: taken(from: prefix, routes.map(\.source)))
            }
            if places.contains(where: { !$0.holes.isEmpty }) {
                permits[slot] = Permit(sources: AddressSet(places), asksRoutes: false)
            }
        }
    }

    /// Whether any prefix covers another or has several networks. What a prefix covers follows it.
    private static func overlap(_ owned: [Owned]) -> Bool {
        zip(owned, owned.dropFirst()).contains { one, next in
            one.route.destination == next.route.destination
                ? one.slot != next.slot : one.route.destination.contains(next.route.destination)
        }
    }

    private static func nodes(_ owned: [Owned]) -> [Node] {
        var nodes: [Node] = []
        var open: [Int] = []
        var first = 0
        while first < owned.count {
            let prefix = owned[first].route.destination
            var end = first + 1
            while end < owned.count, owned[end].route.destination == prefix { end += 1 }
            while let last = open.last, !nodes[last].prefix.contains(prefix) {
                nodes[last].end = nodes.count
                open.removeLast()
            }
            open.append(nodes.count)
            nodes.append(Node(prefix: prefix, routes: first..<end, end: 0))
            first = end
        }
        for index in open { nodes[index].end = nodes.count }
        return nodes
    }

    /// Our side's prefixes of a node's routes, by network.
    private func sources(of node: Node) -> [(slot: Int, sources: [Prefix])] {
        if node.routes.count == 1 {
            let only = owned[node.routes.lowerBound]
            return [(Int(only.slot), [only.route.source])]
        }
        let bySlot = Dictionary(grouping: owned[node.routes], by: \.slot)
        return bySlot.map { (Int($0.key), $0.value.map(\.route.source)) }
    }

    /// What is cut out of a network's part of a node, and whether the table has to be asked nevertheless.
    private func cut(_ index: Int, slot: Int, _ sources: [Prefix]) -> (holes: [Prefix], asksRoutes: Bool) {
        let node = nodes[index]
        // Others have the same prefix for a part of our side.
        var asksRoutes = owned[node.routes].contains { other in
            Int(other.slot) != slot && sources.contains { $0.contains(other.route.source) }
        }
        var holes: [Prefix] = []
        let isCrowded = node.routes.count > Self.mostOfOne && node.end > index + 1
        guard !isCrowded else { return ([], true) }
        var next = index + 1
        while next < node.end {
            switch overlap(of: nodes[next], with: sources) {
            case .all:
                holes.append(nodes[next].prefix)
                next = nodes[next].end
            case .some:
                asksRoutes = true
                next = nodes[next].end
            case .none: next += 1
            }
        }
        return (holes, asksRoutes)
    }

    /// What others own by a longer prefix than one that only receives; the table says nothing of that one, so what others have
    /// for a part of our side is theirs.
    private func taken(from prefix: Prefix, _ sources: [Prefix]) -> [Prefix] {
        var low = 0
        var high = nodes.count
        while low < high {
            let middle = (low + high) / 2
            if nodes[middle].prefix <= prefix { low = middle + 1 } else { high = middle }
        }
        var holes: [Prefix] = []
        while low < nodes.count, prefix.contains(nodes[low].prefix) {
            if overlap(of: nodes[low], with: sources) == .none {
                low += 1
            } else {
                holes.append(nodes[low].prefix)
                low = nodes[low].end
            }
        }
        return holes
    }

    private func overlap(of node: Node, with sources: [Prefix]) -> Overlap {
        let others = owned[node.routes]
        if sources.allSatisfy({ source in others.contains { $0.route.source.contains(source) } }) { return .all }
        let meets = sources.contains { source in
            others.contains { $0.route.source.contains(source) || source.contains($0.route.source) }
        }
        return meets ? .some : .none
    }
}
