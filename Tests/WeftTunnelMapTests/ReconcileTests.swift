// SPDX-License-Identifier: Apache-2.0
import CWeftBPF
import Foundation
import Testing
import Weft

@testable import WeftTunnelMap

@Suite(.enabled(if: isRoot, "loading an eBPF program needs root"))
struct ReconcileTests {
    private static func load(capacity: Int = 1024) throws -> TunnelMap {
        var options = TunnelMap.Options(name: nil)
        options.capacity = capacity
        return try TunnelMap.load(options)
    }

    /// A prefix and two nexthops, out of few.
    private static func entry(_ number: Int, _ nexthops: Int = 0) throws -> TunnelMapEntry {
        let prefix = try ClassifierTests.prefix(
            number % 2 == 0 ? "10.\(number >> 8 & 255).\(number & 255).0/24" : "fd00:\(String(number, radix: 16))::/64")
        return TunnelMapEntry(
            prefix: prefix,
            nexthops: [ClassifierTests.nexthop(1 + nexthops % 4), ClassifierTests.nexthop(5 + nexthops % 8)])
    }

    @Test func writesOnlyWhatDiffers() throws {
        let map = try Self.load()
        var entries = try (0..<500).map { try Self.entry($0, $0) }
        let first = try map.reconcile(entries)
        #expect(first.added == 500)
        #expect(try map.reconcile(entries) == TunnelMapChanges())
        #expect(try map.reconcile(entries.shuffled()) == TunnelMapChanges())
        // The order of nexthops means nothing.
        #expect(
            try map.reconcile(
                entries.map { TunnelMapEntry(prefix: $0.prefix, nexthops: $0.nexthops.reversed()) })
                == TunnelMapChanges())
        for index in 0..<10 { entries[index] = try Self.entry(index, index + 1) }
        let changed = try map.reconcile(entries)
        #expect(changed.changed == 10 && changed.writes == 10 && changed.added == 0 && changed.removed == 0)
        #expect(Set(map.list()) == Set(entries.map(Self.sorted)))
        let removed = try map.reconcile(Array(entries.dropFirst(100)))
        #expect(removed.removed == 100 && removed.added == 0 && removed.changed == 0)
        #expect(map.list().count == 400)
        try map.reconcile([])
        #expect(map.list().isEmpty && map.peers().isEmpty)
    }

    /// As `list` gives them: nexthops have no order.
    private static func sorted(_ entry: TunnelMapEntry) -> TunnelMapEntry {
        var entry = entry
        entry.nexthops.sort { $0.seed < $1.seed }
        return entry
    }

    @Test func changesOneGroupOfManyPrefixesByOneWrite() throws {
        let map = try Self.load()
        var entries = try (0..<500).map { try Self.entry($0) }
        try map.reconcile(entries)
        for index in entries.indices { entries[index].nexthops[0].weight = 9 }
        let changes = try map.reconcile(entries)
        #expect(changes.changed == 500 && changes.writes == 1)
    }

    @Test func updatesAndDeletesOne() throws {
        let map = try Self.load(capacity: 2)
        let (one, two) = (try Self.entry(0), try Self.entry(1))
        #expect(try map.update(one).added == 1)
        #expect(try map.update(one) == TunnelMapChanges())
        try map.update(two)
        #expect(throws: ReconcileError.self) { try map.update(Self.entry(2)) }
        #expect(try map.delete(one.prefix).removed == 1)
        #expect(throws: ReconcileError.self) { try map.delete(one.prefix) }
        #expect(map.list() == [Self.sorted(two)])
        #expect(map.lookUp(one.prefix.address) == nil)
        #expect(map.lookUp(two.prefix.address)?.prefix == two.prefix)
        // A full map can still be changed to a wholly different one.
        try map.reconcile([one, two])
        let changes = try map.reconcile([Self.entry(4), Self.entry(5)])
        #expect(changes.added == 2 && changes.removed == 2)
    }

    @Test func refusesBeforeWriting() throws {
        let map = try Self.load(capacity: 8)
        let good = try Self.entry(0)
        try map.reconcile([good])
        var noInterface = try Self.entry(2)
        noInterface.nexthops[0].interface = "no-such"
        var heavy = try Self.entry(4)
        heavy.nexthops[0].weight = 65536
        var twice = try Self.entry(6)
        twice.nexthops[1] = twice.nexthops[0]
        var empty = try Self.entry(8)
        empty.nexthops = []
        var many = try Self.entry(8)
        many.nexthops = (1...17).map { ClassifierTests.nexthop($0) }
        let tooMany = try (0..<9).map { try Self.entry($0) }
        for desired in [
            [good, noInterface], [good, heavy], [good, twice], [good, empty], [good, many], [good, good], tooMany,
        ] {
            do {
                try map.reconcile(desired)
                Issue.record("took \(desired)")
            } catch {
                #expect(error.applied == TunnelMapChanges(), "\(error)")
            }
        }
        #expect(map.list() == [Self.sorted(good)])
    }

    @Test func saysWhatWasAppliedBeforeAFailure() throws {
        let map = try Self.load()
        // Nobody can write to this map any more: what comes before it is applied.
        try #require(bpf_map_freeze(map.tables.trie6.descriptor) == 0)
        let entries = try (0..<100).map { try Self.entry($0, $0) }
        let v4 = entries.filter { $0.prefix.family == .v4 }
        do throws(ReconcileError) {
            try map.reconcile(entries)
            Issue.record("wrote to a frozen map")
        } catch {
            #expect(error.applied.added == v4.count && "\(error)".contains("50 entries were added"), "\(error)")
        }
        #expect(Set(map.list()) == Set(v4.map(Self.sorted)))
        // The books are right: nothing more is to be written, and a reader of the maps finds the same.
        #expect(try map.reconcile(v4).added == 0)
        #expect(try map.reconcile(v4) == TunnelMapChanges())
        #expect(try Books(reading: map.tables).entries.count == v4.count)
    }

    @Test func saysThatNexthopsDontFit() throws {
        var options = TunnelMap.Options(name: nil)
        options.nexthopCapacity = 3
        let map = try TunnelMap.load(options)
        try map.reconcile([Self.entry(0)])
        let both = [try Self.entry(0), try Self.entry(2, 2)]
        do throws(ReconcileError) {
            try map.reconcile(both)
            Issue.record("four nexthops in the room of three")
        } catch {
            #expect(error.cause == .full(what: "nexthops", capacity: 3))
        }
        #expect(try map.list() == [Self.sorted(Self.entry(0))])
        #expect(try map.reconcile([Self.entry(2, 0)]).added == 1)
    }

    @Test func leavesHealthToOthers() throws {
        let map = try Self.load()
        let entries = try (0..<8).map { try Self.entry($0) }
        try map.reconcile(entries, probed: ["peer1"])
        func peer(_ name: String) -> TunnelMap.PeerState? { map.peers().first { $0.name == name } }
        #expect(peer("peer1")?.isHealthy == false && peer("peer5")?.isHealthy == true)
        #expect(try map.setHealth(of: "peer1", to: true) == 8)
        #expect(try map.setHealth(of: "peer1", to: true) == 0)
        #expect(try map.setHealth(of: "peer5", to: false) == 8)
        #expect(throws: TunnelMapError.noPeer("nobody")) { try map.setHealth(of: "nobody", to: true) }
        #expect(try map.reconcile(entries, probed: ["peer1"]) == TunnelMapChanges())
        #expect(peer("peer1")?.isHealthy == true && peer("peer5")?.isHealthy == false)
        // Probed from now on: what it was stays until a probe says otherwise.
        try map.reconcile(entries, probed: ["peer1", "peer5"])
        #expect(peer("peer5")?.isHealthy == false)
        try map.reconcile(entries, probed: [])
        #expect(peer("peer5")?.isHealthy == true)
    }

    @Test func drains() throws {
        let map = try Self.load()
        let entry = try Self.entry(0)
        try map.reconcile([entry])
        let flows = (0..<200).map { port in
            Flow(
                source: IPAddress(v4: 0xC000_0201), destination: entry.prefix.address,
                ports: Flow.Ports(protocol: 6, source: UInt16(1000 + port), destination: 80))
        }
        func chosen() -> Set<String> {
            guard let state = map.lookUp(entry.prefix.address) else { return [] }
            return Set(flows.compactMap { TunnelMap.choose($0, in: state)?.nexthop.peer })
        }
        #expect(chosen() == ["peer1", "peer5"])
        #expect(try map.setDraining(of: "peer1", to: true) == 1)
        #expect(chosen() == ["peer5"])
        try map.setHealth(of: "peer5", to: false)
        #expect(chosen() == ["peer1"])
        try map.setHealth(of: "peer1", to: false)
        #expect(chosen().isEmpty)
    }
}
