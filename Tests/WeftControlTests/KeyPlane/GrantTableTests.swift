// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftTestSupport

@testable import WeftControl

@Suite("Networks that are granted, by VNI and by address")
struct GrantTableTests {
    @Test("As naive lists would have it, over random grants and releases")
    func random() throws {
        var generator = SeededGenerator.fresh()
        let seed = Comment(rawValue: "seed \(generator.seed)")
        let life = InitiatorLife(
            AuthorizedInitiator(publicKey: try Identity.generate().publicKey, prefixes: []), number: 1)
        var table = GrantTable()
        var naive: [IPAddress: [UInt32]] = [:]
        var vnis: [UInt32] = []
        for vni in UInt32(1)...20_000 {
            let address = IPAddress(v4: .random(in: 0..<20, using: &generator))
            if vnis.isEmpty || Int.random(in: 0..<100, using: &generator) < 55 {
                table.add(
                    Grant(
                        vni: vni, address: address, initiator: life, session: nil,
                        firstPlace: AddressPair(Endpoint(address, port: 1)), expiry: .distantFuture))
                naive[address, default: []].append(vni)
                vnis.append(vni)
            } else {
                let gone = vnis.remove(at: .random(in: 0..<vnis.count, using: &generator))
                let address = try #require(table[gone]?.address)
                let wasNewest = naive[address]?.last == gone
                naive[address]?.removeAll { $0 == gone }
                #expect(table.remove(gone) == (wasNewest ? naive[address]?.last : nil), seed)
                #expect(table[gone] == nil, seed)
            }
            #expect(table.newest(of: address)?.vni == naive[address]?.last, seed)
        }
        #expect(Set(table.all.map(\.vni)) == Set(vnis), seed)
        #expect(table.remove(0) == nil)
    }
}
