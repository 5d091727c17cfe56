// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

/// What a peer sends is let in only where a packet to its source would be sent to that peer.
@Suite("Cryptokey routing of what was opened")
struct CryptokeyTests {
    /// A million packets in the long run.
    private static let rounds = Extent.isExhaustive ? 10_000 : 400
    private static let perRound = 100

    private static let ours = [
        "10.1.0.0/16", "10.1.0.0/16", "10.1.0.0/17", "10.1.128.0/17", "10.1.4.0/24", "0.0.0.0/0",
    ]
    .compactMap { Prefix($0) }

    /// All networks, kept naively.
    private struct Reference {
        var networks: [NetworkID: NetworkConfiguration] = [:]

        private var owned: [(id: NetworkID, route: Route)] {
            networks.values.flatMap { network in
                network.isReceiveOnly ? [] : network.routes.map { (network.id, $0) }
            }
        }

        func isFree(_ network: NetworkConfiguration) -> Bool {
            network.isReceiveOnly
                || !owned.contains { $0.id != network.id && network.routes.contains($0.route) }
        }

        func admits(_ source: IPAddress, to destination: IPAddress, from network: NetworkConfiguration) -> Bool {
            guard network.isReceiveOnly else {
                let best = owned.filter { covers($0.route, destination, source) }
                    .max { one, other in
                        (one.route.destination.length, one.route.source.length)
                            < (other.route.destination.length, other.route.source.length)
                    }
                return best?.id == network.id
            }
            guard network.routes.contains(where: { $0.source.contains(destination) }) else { return false }
            return network.routes.contains { own in
                own.destination.contains(source)
                    && !owned.contains { other in
                        other.route.destination.length > own.destination.length
                            && other.route.destination.contains(source)
                            && network.routes.contains { mine in
                                mine.destination == own.destination
                                    && (mine.source.contains(other.route.source)
                                        || other.route.source.contains(mine.source))
                            }
                    }
            }
        }

        private func covers(_ route: Route, _ ours: IPAddress, _ theirs: IPAddress) -> Bool {
            route.source.contains(ours) && route.destination.contains(theirs)
        }
    }

    @Test("Random packets over nested prefixes of a hundred peers that come, change and go")
    func random() throws {
        var generator = SeededGenerator.fresh()
        let engine = try Engine(End(.left).configuration)
        var lane = try Lane(engine)
        var reference = Reference()
        var admitted = 0
        for round in 0..<Self.rounds {
            var changes = NetworkChanges()
            let known = reference.networks.keys.sorted()
            for id in known.shuffled(using: &generator).prefix(round > 50 ? .random(in: 0...3, using: &generator) : 0) {
                changes.removed.insert(id)
                reference.networks[id] = nil
            }
            for _ in 0..<Int.random(in: 0...5, using: &generator) {
                let network = Self.network(.random(in: 1...100, using: &generator), using: &generator)
                let isTouched =
                    changes.removed.contains(network.id) || changes.changed.contains { $0.id == network.id }
                    || changes.added.contains { $0.id == network.id }
                guard !isTouched, reference.isFree(network) else { continue }
                if reference.networks[network.id] == nil {
                    changes.added.append(network)
                } else {
                    changes.changed.append(network)
                }
                reference.networks[network.id] = network
            }
            try engine.apply(changes)
            lane.refresh()
            let networks = reference.networks.keys.sorted()
            guard !networks.isEmpty else { continue }
            for _ in 0..<Self.perRound {
                let id = networks[.random(in: networks.indices, using: &generator)]
                let source = IPAddress(v4: 0x0A02_0000 | .random(in: 0..<4096, using: &generator))
                let destination = IPAddress(v4: 0x0A01_0000 | .random(in: 0..<65536, using: &generator))
                let expected = reference.networks[id].map { reference.admits(source, to: destination, from: $0) }
                let found = try Self.admits(&lane, source, to: destination, from: id)
                if found { admitted += 1 }
                try #require(
                    found == expected,
                    "seed \(generator.seed), round \(round): \(source) to \(destination) from \(id)")
            }
        }
        #expect(admitted > Self.rounds, "seed \(generator.seed)")
    }

    private static func admits(
        _ lane: inout Lane, _ source: IPAddress, to destination: IPAddress, from network: NetworkID
    ) throws -> Bool {
        let packet = Packets.udp(source, destination, count: 40)
        let slot = try #require(lane.view.slot(of: network))
        let opened = Lane.Opened(
            slot: slot, association: 0, counter: 1, protocolType: 0x0800,
            plaintext: PacketRange(offset: 0, count: packet.count))
        do throws(DropReason) {
            try unsafe lane.permit(packet.span.bytes, opened, lane.view.networks[slot])
            return true
        } catch {
            return false
        }
    }

    /// A network with up to three nested prefixes, now and then all there is, for parts of our side or all of it.
    private static func network(_ vni: UInt32, using generator: inout SeededGenerator) -> NetworkConfiguration {
        let routes = (0..<Int.random(in: 1...3, using: &generator)).compactMap { _ -> Route? in
            let address = IPAddress(v4: 0x0A02_0000 | UInt32.random(in: 0..<4096, using: &generator))
            let length =
                Int.random(in: 0..<12, using: &generator) == 0 ? 0 : Int.random(in: 20...32, using: &generator)
            return Prefix(address, length: length).map { destination in
                Route(source: ours[.random(in: ours.indices, using: &generator)], destination: destination)
            }
        }
        return NetworkConfiguration(
            vni: vni, endpoint: End(.left).remote, routes: Array(Set(routes)),
            isReceiveOnly: Int.random(in: 0..<6, using: &generator) == 0)
    }

    @Test("An exit node can't send from another peer's address, before and after that peer comes and goes")
    func exitNode() throws {
        let engine = try Engine(End(.left).configuration)
        var lane = try Lane(engine)
        let own = try #require(Prefix("10.1.0.1/32"))
        func network(_ vni: UInt32, _ prefixes: String...) throws -> NetworkConfiguration {
            NetworkConfiguration(
                vni: vni, endpoint: End(.left).remote,
                routes: try prefixes.map { Route(source: own, destination: try #require(Prefix($0))) })
        }
        func admits(_ source: String, from network: NetworkID) throws -> Bool {
            lane.refresh()
            return try Self.admits(
                &lane, try #require(IPAddress(source)), to: IPAddress(v4: 0x0A01_0001), from: network)
        }
        try engine.add(network(1, "0.0.0.0/0", "10.2.3.4/32"))
        #expect(try admits("10.2.0.7", from: .vni(1)))
        try engine.add(network(2, "10.2.0.0/16"))
        try engine.add(network(3, "10.2.0.7/32"))
        #expect(
            try !admits("10.2.0.7", from: .vni(1)) && !admits("10.2.0.7", from: .vni(2))
                && admits("10.2.0.7", from: .vni(3)))
        #expect(
            try !admits("10.2.0.8", from: .vni(1)) && admits("10.2.0.8", from: .vni(2))
                && !admits("10.2.0.8", from: .vni(3)))
        #expect(
            try admits("192.0.2.1", from: .vni(1)) && admits("10.2.3.4", from: .vni(1))
                && !admits("10.2.3.4", from: .vni(2)))
        #expect(try admits("255.255.255.255", from: .vni(1)) && admits("0.0.0.0", from: .vni(1)))
        // New keys make a new snapshot, too.
        for vni in [1, 2] as [UInt32] {
            try engine.install(Keys.pair(.left, epoch: vni), for: .vni(vni), at: End.start)
        }
        #expect(
            try !admits("10.2.0.7", from: .vni(1)) && !admits("10.2.0.7", from: .vni(2))
                && admits("10.2.0.8", from: .vni(2)))
        try engine.remove(.vni(3))
        #expect(try admits("10.2.0.7", from: .vni(2)) && !admits("10.2.0.7", from: .vni(1)))
        try engine.remove(.vni(2))
        #expect(try admits("10.2.0.7", from: .vni(1)))
    }
}
