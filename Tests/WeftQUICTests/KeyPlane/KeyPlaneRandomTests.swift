// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftControl
import WeftTestSupport

@Suite("A key plane over random events")
struct KeyPlaneRandomTests {
    /// What a network is to be, as the initiators' answers tell it.
    private struct Expected {
        let address: IPAddress
        let holder: Int
        let order: Int
    }

    @Test(
        "The engine has what was granted and not given back, no VNI comes again before its time, and addresses are one's own"
    )
    func random() throws {
        var generator = SeededGenerator.fresh()
        print("seed \(generator.seed)")
        let plane = try KeyPlane(firstVNI: 0xFF_FFC0)
        for _ in 0..<3 { try plane.add(networks: 12) }
        var networks: [UInt32: Expected] = [:]
        var freedAt: [UInt32: Instant] = [:]
        var grants = 0
        for step in 0..<1500 {
            let index = Int.random(in: 0..<3, using: &generator)
            let initiator = plane.initiators[index]
            switch Int.random(in: 0..<100, using: &generator) {
            case 0..<55:
                plane.ask(initiator, for: IPAddress(v4: 0x0A09_0100 + UInt32.random(in: 0..<20, using: &generator)))
            case 55..<85:
                guard let vni = networks.filter({ $0.value.holder == index }).keys.min() else { continue }
                initiator.requester.release(vni, at: plane.now)
                plane.settle()
                networks[vni] = nil
                freedAt[vni] = plane.now
            case 85..<88:
                // The session goes, with all that it held; the next request begins another.
                plane.policies[index].suite = plane.policies[index].suite == .aes128GCM ? .aes256GCM : .aes128GCM
                plane.responder.setInitiators(plane.policies, at: plane.now)
                plane.policies[index].suite = .aes128GCM
                plane.responder.setInitiators(plane.policies, at: plane.now)
                plane.settle()
                for vni in networks.filter({ $0.value.holder == index }).keys {
                    networks[vni] = nil
                    freedAt[vni] = plane.now
                }
            case 88..<92: plane.run(for: .seconds(Int.random(in: 1...5, using: &generator)), step: .milliseconds(100))
            case 92..<94:
                initiator.address = Endpoint(
                    initiator.address.address, port: .random(in: 1024...60_000, using: &generator))
            default: plane.run(for: .milliseconds(Int.random(in: 0...300, using: &generator)))
            }
            plane.run(for: .milliseconds(20))
            for (holder, initiator) in plane.initiators.enumerated() {
                for grant in initiator.grants {
                    grants += 1
                    if let freed = freedAt.removeValue(forKey: grant.vni) {
                        #expect(plane.now > freed.advanced(by: KeyPlane.lifetime), "VNI \(grant.vni) came too soon")
                    }
                    #expect(networks[grant.vni] == nil)
                    let others = networks.values.filter { $0.address == grant.overlayAddress && $0.holder != holder }
                    #expect(others.isEmpty, "step \(step): \(grant.overlayAddress) is another one's")
                    networks[grant.vni] = Expected(address: grant.overlayAddress, holder: holder, order: grants)
                }
                initiator.events.removeAll()
            }
            expect(networks, on: plane, step)
        }
        print("\(grants) grants, \(networks.count) left")
        #expect(grants > 100)
    }

    private func expect(_ networks: [UInt32: Expected], on plane: KeyPlane, _ step: Int) {
        let actual = plane.engine.networks()
        #expect(Set(actual.map(\.vni)) == Set(networks.keys), "step \(step)")
        #expect(Set(plane.responder.networks().map(\.vni)) == Set(networks.keys), "step \(step)")
        for network in actual {
            let expected = networks[network.id.rawValue]
            #expect(network.routes.map(\.destination) == expected.map { [Prefix(host: $0.address)] })
        }
        for (index, initiator) in plane.initiators.enumerated() {
            let status = plane.responder.statuses().first { $0.publicKey == initiator.key }
            #expect(status?.networks == networks.values.count { $0.holder == index }, "step \(step)")
        }
    }
}
