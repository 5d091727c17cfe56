// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft

@testable import WeftTunnelMap

/// How the choice spreads flows. The classifier's is the same, which `ClassifierTests` shows.
struct SpreadTests {
    private let flows: [Flow] = (0..<10_000).map { (number: Int) -> Flow in
        let destination = IPAddress(v4: 0x0A01_0000 | UInt32(number / 100))
        let ports = Flow.Ports(protocol: 6, source: UInt16(32768 + number % 100 * 7), destination: 443)
        return Flow(source: IPAddress(v4: 0x0A00_0001), destination: destination, ports: ports)
    }

    private func candidate(_ number: Int, weight: UInt32 = 1) -> Choice.Candidate {
        Choice.Candidate(
            seed: ClassifierTests.nexthop(number).seed, weight: weight, isHealthy: true, isDraining: false)
    }

    private func seeds(_ candidates: [Choice.Candidate]) -> [UInt64] {
        flows.map { flow in Choice.index(of: flow.hash, among: candidates).map { candidates[$0].seed } ?? 0 }
    }

    @Test(arguments: [[1, 1, 1, 1], [1, 2, 3], [1, 10, 100], [65535, 65535]] as [[UInt32]])
    func followsWeights(_ weights: [UInt32]) {
        let candidates = weights.enumerated().map { candidate($0.offset + 1, weight: $0.element) }
        let chosen = seeds(candidates)
        let total = Double(weights.reduce(0, +))
        for candidate in candidates {
            let share = Double(chosen.count { $0 == candidate.seed }) / Double(flows.count)
            let wanted = Double(candidate.weight) / total
            // The rarest have too few flows for ten percent to mean anything.
            let tolerance = max(0.1 * wanted, 0.005)
            #expect(abs(share - wanted) < tolerance, "\(weights): \(share) instead of \(wanted)")
        }
    }

    @Test func movesOnlyTheFlowsOfWhatGoes() {
        let all = (1...4).map { candidate($0) }
        let before = seeds(all)
        let after = seeds(Array(all.dropLast()))
        for (old, new) in zip(before, after) where old != all[3].seed { #expect(old == new) }
        for (old, new) in zip(before, seeds(all.shuffled())) { #expect(old == new) }
        let unhealthy =
            all.dropLast() + [
                Choice.Candidate(seed: all[3].seed, weight: 1, isHealthy: false, isDraining: false)
            ]
        #expect(seeds(Array(unhealthy)) == after)
    }

    @Test func macAddressIsDerived() {
        #expect(IPAddress("192.0.2.1").map { "\(MACAddress(derivedFrom: $0))" } == "02:c0:00:02:01:ff")
        #expect(IPAddress("fd00::1234:5678").map { "\(MACAddress(derivedFrom: $0))" } == "02:12:34:56:78:ff")
    }
}
