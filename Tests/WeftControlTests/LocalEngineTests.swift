// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftTestSupport

@testable import WeftControl

@Suite("Granted networks in an engine of the same process")
struct LocalEngineTests {
    @Test("What the engine refuses is named, and all else is done", arguments: [1, 2, 7, 64])
    func refusals(count: Int) throws {
        var generator = SeededGenerator.fresh()
        let engine = try Engine(EngineConfiguration(lanes: 1))
        let port = LocalEngine(engine)
        port.setLocalPrefixes([try #require(Prefix("10.0.0.0/8"))])
        let holder = try Identity.generate().publicKey
        func network(_ vni: UInt32, isReceiveOnly: Bool = false) -> GrantedNetwork {
            GrantedNetwork(
                vni: vni, address: IPAddress(v4: 0x0A50_0000 + vni), holder: holder,
                endpoint: Endpoint(IPAddress(v4: 0xC000_0202), port: 6081), isReceiveOnly: isReceiveOnly,
                expiry: .distantFuture)
        }
        var foreign: Set<UInt32> = []
        for vni in 1...UInt32(count) where Int.random(in: 0..<4, using: &generator) == 0 { foreign.insert(vni) }
        for vni in foreign { try engine.add(NetworkConfiguration(vni: vni, endpoint: nil, routes: [])) }
        // What others took away is removed and changed in vain.
        var before = GrantChanges()
        before.added = (1001...1000 + UInt32(count)).map { network($0) }
        port.apply(before)
        #expect(port.nextEvent() == nil)
        for vni in foreign { try engine.remove(.vni(1000 + vni)) }
        var changes = GrantChanges()
        changes.removed = Set((1001...1000 + UInt32(count)).filter { !$0.isMultiple(of: 2) })
        changes.changed = (1001...1000 + UInt32(count)).filter { $0.isMultiple(of: 2) }
            .map { network($0, isReceiveOnly: true) }
        changes.added = (1...UInt32(count)).map { network($0) }
        port.apply(changes)
        var refused: Set<UInt32> = []
        while let event = port.nextEvent() {
            if case .grantRefused(let vni) = event { refused.insert(vni) }
        }
        #expect(refused == foreign, "seed \(generator.seed)")
        let kept = (1001...1000 + UInt32(count)).filter { $0.isMultiple(of: 2) && !foreign.contains($0 - 1000) }
        #expect(
            Set(engine.networks().compactMap(\.id.vni)) == Set(1...UInt32(count)).union(kept), "seed \(generator.seed)")
    }
}
