// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import WeftConfig

@Suite("Mutated tunnel files")
struct MutationTests {
    @Test("each either parses to something sound or is diagnosed, and no message shows a key")
    func mutations() {
        var random = SeededGenerator.fresh()
        var good = 0
        for round in 0..<4000 {
            let original = [Samples.full, Samples.small, Samples.keyServer][round % 3]
            let text = mutated(Array(original.utf8), &random)
            do throws(TunnelFileError) {
                expectSound(try TunnelFile.parse(text.span, name: "weft0.conf"), "seed \(random.seed), round \(round)")
                good += 1
            } catch {
                #expect(!error.diagnostics.isEmpty, "seed \(random.seed), round \(round)")
                #expect(error.diagnostics.allSatisfy { $0.line ?? 1 >= 1 && !$0.message.isEmpty })
                #expect(!Samples.showsKey(error.description), "seed \(random.seed), round \(round): \(error)")
            }
        }
        #expect(good > 0)
    }

    @Test("every beginning of a file", arguments: [Samples.full, Samples.keyServer])
    func truncations(_ text: String) {
        let text = Array(text.utf8)
        for length in 0..<text.count {
            #expect(!Samples.showsKey(Samples.findings(Array(text.prefix(length))).joined()))
        }
    }

    private func mutated(_ original: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
        var text = original
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            let place = Int.random(in: 0...max(0, text.count - 1), using: &random)
            let end = min(text.count, place + Int.random(in: 1...40, using: &random))
            switch Int.random(in: 0..<7, using: &random) {
            case 0: text.insert(UInt8.random(in: 0...255, using: &random), at: place)
            case 1: text.removeSubrange(place..<end)
            case 2: text.insert(contentsOf: Array("\n\n# =,[]:/".utf8).shuffled(using: &random).prefix(2), at: place)
            case 3: text.insert(contentsOf: text[place..<end], at: Int.random(in: 0...text.count, using: &random))
            case 4: text = Array(text.prefix(place + 1))
            case 5 where place < text.count: text[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            default:
                text.insert(contentsOf: Array("\(UInt64.random(in: 0...UInt64.max, using: &random))".utf8), at: place)
            }
        }
        return text
    }

    private func expectSound(_ file: TunnelConfiguration, _ comment: Comment) {
        #expect(!file.interface.addresses.isEmpty, comment)
        #expect((576...65535).contains(file.interface.firstMTU), comment)
        #expect(Set(file.peers.map(\.network)).count == file.peers.count, comment)
        let prefixes = file.peers.flatMap(\.allowedIPs)
        #expect(Set(prefixes).count == prefixes.count, comment)
        #expect(file.peers.isEmpty || file.initiators.isEmpty, comment)
        #expect(Set(file.initiators.map(\.publicKey)).count == file.initiators.count, comment)
        for initiator in file.initiators {
            #expect((1...InitiatorConfiguration.mostNetworks).contains(initiator.networks), comment)
            #expect(!initiator.allowedIPs.isEmpty, comment)
            #expect(Set(initiator.allowedIPs).isSubset(of: file.routedPrefixes), comment)
        }
        for peer in file.peers {
            #expect((0...0xFF_FFFF).contains(peer.vni), comment)
            guard let keys = peer.keys else { continue }
            #expect(keys.epoch > 0 && peer.vni > 0 && peer.endpoint.map { $0.port > 0 } == true, comment)
            #expect(keys.send != keys.receive, comment)
            let routed = Set(file.routes(for: peer).map(\.destination))
            #expect(routed == Set(peer.allowedIPs), comment)
        }
    }
}
