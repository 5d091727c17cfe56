// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

@Suite("Virtual networks")
struct NetworkTests {
    private static func route(_ source: String, _ destination: String) throws -> Route {
        Route(source: try #require(Prefix(source)), destination: try #require(Prefix(destination)))
    }

    private static func network(_ vni: UInt32, _ routes: [Route]) -> NetworkConfiguration {
        NetworkConfiguration(vni: vni, endpoint: End(.left).remote, routes: routes)
    }

    /// All that a failed change must leave as it was.
    private static func state(_ engine: Engine) -> [String] {
        engine.networks().map { "\($0.id) \($0.routes) \($0.receive) \(String(describing: $0.transmit))" }
            + ["\(engine.generation.load(ordering: .relaxed))"]
    }

    /// Which network seals a packet: 7 has keys, and so has 8.
    private static func carrier(_ engine: Engine, from source: String, to destination: String) throws -> UInt32? {
        var lane = try Lane(engine)
        let packet = Packets.udp(
            try #require(IPAddress(source)), try #require(IPAddress(destination)), count: 60)
        let sealed = lane.seal(packet, as: .datagram, at: End.start)
        return sealed.outcome == "forward" ? sealed.bytes.word(4, as: UInt32.self) >> 8 : nil
    }

    private static func succeeds(_ change: () throws -> Void) -> Bool {
        do { try change() } catch { return false }
        return true
    }

    private static func engine(_ networks: [UInt32: [Route]]) throws -> Engine {
        let engine = try Engine(End(.left).configuration)
        for (vni, routes) in networks.sorted(by: { $0.key < $1.key }) {
            try engine.add(network(vni, routes))
            try engine.install(Keys.pair(.left, epoch: vni), for: .vni(vni), at: End.start)
        }
        return engine
    }

    @Test("what can't be added changes nothing")
    func refusedAdd() throws {
        let taken = try Self.route("10.1.0.0/16", "10.2.0.0/16")
        let free = try Self.route("10.1.0.0/16", "10.3.0.0/16")
        let mixed = try Self.route("10.1.0.0/16", "fd00::/8")
        let engine = try Self.engine([7: [taken]])
        let before = Self.state(engine)
        #expect(throws: EngineError.routeTaken(taken, .vni(7))) { try engine.add(Self.network(8, [free, taken])) }
        #expect(throws: EngineError.mixedFamilies(mixed)) { try engine.add(Self.network(8, [free, mixed])) }
        #expect(throws: EngineError.networkExists(.vni(7))) { try engine.add(Self.network(7, [free])) }
        #expect(throws: EngineError.invalidVNI) { try engine.add(Self.network(1 << 24, [free])) }
        #expect(throws: EngineError.invalidVNI) { try engine.add(Self.network(.max, [free])) }
        #expect(Self.state(engine) == before)
        // Nothing of what failed is owned by anyone.
        try engine.add(Self.network(8, [free]))
    }

    @Test("an update is all or nothing")
    func refusedUpdate() throws {
        let first = try Self.route("10.1.0.0/16", "10.2.0.0/16")
        let second = try Self.route("10.1.0.0/16", "10.3.0.0/16")
        let third = try Self.route("10.1.0.0/16", "10.4.0.0/16")
        let mixed = try Self.route("fd00::/8", "10.5.0.0/16")
        let engine = try Self.engine([7: [first], 8: [second]])
        let before = Self.state(engine)
        #expect(throws: EngineError.routeTaken(first, .vni(7))) {
            try engine.updateRoutes(of: .vni(8), to: [third, first])
        }
        #expect(throws: EngineError.mixedFamilies(mixed)) { try engine.updateRoutes(of: .vni(8), to: [third, mixed]) }
        #expect(throws: EngineError.unknownNetwork(.vni(9))) { try engine.updateRoutes(of: .vni(9), to: [third]) }
        #expect(Self.state(engine) == before)
        // The third is still free, and 8 still owns the second.
        #expect(throws: EngineError.routeTaken(second, .vni(8))) {
            try engine.updateRoutes(of: .vni(7), to: [second, third])
        }
        try engine.updateRoutes(of: .vni(7), to: [third])
        #expect(try Self.carrier(engine, from: "10.1.0.1", to: "10.4.0.1") == 7)
        #expect(try Self.carrier(engine, from: "10.1.0.1", to: "10.2.0.1") == nil)
        // What 7 gave up 8 may take; a route twice in a list is one route.
        try engine.updateRoutes(of: .vni(8), to: [first, first, second])
        #expect(try Self.carrier(engine, from: "10.1.0.1", to: "10.2.0.1") == 8)
        try engine.updateRoutes(of: .vni(8), to: [])
        #expect(try Self.carrier(engine, from: "10.1.0.1", to: "10.2.0.1") == nil)
    }

    @Test("removing a network takes its own routes, also those that nest with or equal half of another's")
    func removal() throws {
        let outer = try Self.route("10.1.0.0/16", "10.2.0.0/16")
        let nested = try Self.route("10.1.0.0/16", "10.2.3.0/24")
        let otherSource = try Self.route("10.7.0.0/16", "10.2.0.0/16")
        let engine = try Self.engine([7: [outer], 8: [nested, otherSource]])
        #expect(try Self.carrier(engine, from: "10.1.0.1", to: "10.2.3.1") == 8)
        try engine.remove(.vni(8))
        #expect(engine.networks().map(\.vni) == [7])
        #expect(try Self.carrier(engine, from: "10.1.0.1", to: "10.2.3.1") == 7)
        #expect(try Self.carrier(engine, from: "10.7.0.1", to: "10.2.3.1") == nil)
        #expect(throws: EngineError.routeTaken(outer, .vni(7))) { try engine.add(Self.network(9, [outer])) }
        try engine.add(Self.network(9, [nested, otherSource]))
        try engine.remove(.vni(7))
        #expect(try Self.carrier(engine, from: "10.1.0.1", to: "10.2.4.1") == nil)
        try engine.remove(.vni(9))
        #expect(engine.networks().isEmpty)
    }

    @Test("random adds, updates and removals against a dictionary of owners")
    func ownersAgainstReference() throws {
        var generator = SeededGenerator.fresh()
        let engine = try Engine(End(.left).configuration)
        let pool = try (0..<12).map { try Self.route("10.1.\($0 / 4).0/24", "10.\($0 % 4 + 2).0.0/16") }
        var owned: [UInt32: Set<Route>] = [:]
        for step in 0..<2_000 {
            let vni = UInt32.random(in: 1...6, using: &generator)
            let routes = pool.shuffled(using: &generator).prefix(.random(in: 0...4, using: &generator))
            let isFree = owned.allSatisfy { $0.key == vni || $0.value.isDisjoint(with: routes) }
            let name: Comment = "seed \(generator.seed), step \(step)"
            switch Int.random(in: 0..<3, using: &generator) {
            case 0:
                let expected = owned[vni] == nil && isFree
                #expect(Self.succeeds { try engine.add(Self.network(vni, Array(routes))) } == expected, name)
                if expected { owned[vni] = Set(routes) }
            case 1:
                let expected = owned[vni] != nil && isFree
                #expect(Self.succeeds { try engine.updateRoutes(of: .vni(vni), to: Array(routes)) } == expected, name)
                if expected { owned[vni] = Set(routes) }
            default:
                let expected = owned.removeValue(forKey: vni) != nil
                #expect(Self.succeeds { try engine.remove(.vni(vni)) } == expected, name)
            }
            let actual = engine.networks().map { ($0.id.rawValue, Set($0.routes)) }
            try #require(Dictionary(uniqueKeysWithValues: actual) == owned, name)
        }
    }

    @Test("numbers that no network can have find none", arguments: [UInt32.max, 1 << 24, 8])
    func strangers(vni: UInt32) throws {
        for engine in [try Engine(End(.left).configuration), try End(.left).engine()] {
            let count = engine.networks().count
            #expect(throws: EngineError.unknownNetwork(.vni(vni))) { try engine.remove(.vni(vni)) }
            #expect(throws: EngineError.unknownNetwork(.vni(vni))) { try engine.updateRoutes(of: .vni(vni), to: []) }
            #expect(throws: EngineError.unknownNetwork(.vni(vni))) {
                try engine.install(Keys.pair(.left, epoch: 9), for: .vni(vni), at: End.start)
            }
            #expect(throws: EngineError.unknownNetwork(.vni(vni))) {
                try engine.raiseCounterCeiling(of: .vni(vni), spi: 1, to: 9)
            }
            var lane = try Lane(engine)
            var buffer = [UInt8](repeating: 0, count: 256)
            let due = buffer.withMutableBytes { lane.keepAlive(of: .vni(vni), into: &$0, as: .datagram, at: End.start) }
            #expect(due == nil)
            #expect(engine.networks().count == count)
        }
    }

    @Test("a number's slot among many, against a dictionary")
    func vniTable() {
        var generator = SeededGenerator.fresh()
        for count in [0, 1, 2, 3, 4, 5, 8, 100, 1_000] {
            var vnis: Set<UInt32> = []
            // Half of them neighbours, as operators number networks.
            while vnis.count < count {
                vnis.insert(.random(in: 0..<(count % 2 == 0 ? 2_000 : 1 << 24), using: &generator))
            }
            let list = vnis.shuffled(using: &generator)
            let table = SlotTable(list.enumerated().map { ($1, $0) })
            for (slot, vni) in list.enumerated() { #expect(table.slot(of: vni) == slot) }
            for _ in 0..<1_000 {
                let vni = UInt32.random(in: 0..<4_000, using: &generator)
                #expect(table.slot(of: vni) == list.firstIndex(of: vni), "seed \(generator.seed)")
            }
            #expect(table.slot(of: .max) == nil)
        }
    }

    @Test("lanes: as many as the engine was made for, and a lane's place is free when it has gone")
    func laneLimit() throws {
        var end = End(.left)
        end.lanes = 2
        let engine = try end.engine()
        for _ in 0..<3 {
            let first = try Lane(engine)
            let second = try Lane(engine)
            #expect(first.index != second.index)
            #expect(throws: EngineError.tooManyLanes(limit: 2)) { _ = try Lane(engine).index }
        }
    }

    @Test("a removed network's packets stay in the engine's totals")
    func totalsStay() throws {
        let engine = try End(.left).engine()
        var lane = try Lane(engine)
        #expect(lane.seal(Packets.udp(from: .left), as: .datagram, at: End.start).outcome == "forward")
        try engine.remove(.vni(End.vni))
        lane.refresh()
        #expect(lane.seal(Packets.udp(from: .left), as: .datagram, at: End.start).outcome == "dropped noRoute")
        #expect(engine.totals().txPackets == 1)
        #expect(engine.totals().fromOverlay == 2)
    }
}
