// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftTestSupport

@testable import WeftPaths

/// Years of moves, NATs, cuts and attackers, at random: whatever happened, data goes to where the peer is soon after it has
/// stopped to happen.
@Suite("Paths, at random")
struct PathsRandomTests {
    /// What is true of the network at the end of an event.
    private enum Event: CaseIterable {
        case move, mapping, home, cut, join, attack, calm, loss, quiet, loud
    }

    @Test("Data is back within 3 s of the last event, and goes nowhere else", arguments: 0..<40)
    func everything(_ round: Int) {
        var seeds = SeededGenerator.fresh()
        let seed = seeds.seed
        for _ in 0..<round { _ = seeds.next() }
        var generator = SeededGenerator(seed: seeds.next())
        let network = PathsTests.network(
            Bool.random(using: &generator) ? .always : .perhaps, generator: SeededGenerator(seed: seeds.next()))
        network.delay = .milliseconds(Int.random(in: 1...80, using: &generator))
        var places: Set<Endpoint> = [PathsTests.one]
        var mayBeRelayed = false
        for number in 0..<30 {
            let event = Event.allCases.randomElement(using: &generator) ?? .calm
            apply(event, to: network, &places, &generator)
            mayBeRelayed = mayBeRelayed || network.attack == .relay
            network.run(for: .milliseconds(Int.random(in: 0...2500, using: &generator)))
            guard number % 5 == 4 else { continue }
            // All that happens stops to happen, but who looks on still repeats what it sees.
            network.isCut = false
            network.loss = 0
            if network.attack == .relay { network.attack = .raceAll }
            for end in network.ends { end.isSending = true }
            // What is under way may still show a way that isn't there any more.
            network.run(for: .milliseconds(500))
            // Who repeats all that comes, and hands nothing on, hides where the peer is now.
            if network.attack != .none, network.ends[1].endpoint != network.ends[0].reachedAt { network.attack = .none }
            network.run(for: .seconds(3))
            #expect(network.isUp, "seed \(seed), round \(round), event \(number)")
            #expect(
                network.ends[1].endpoint == network.ends[0].reachedAt && network.ends[0].endpoint == PathsTests.two,
                "seed \(seed), round \(round), event \(number)")
        }
        let allowed = places.union(mayBeRelayed ? [SimulatedNetwork.attacker] : [])
        #expect(network.ends[1].endpoints.isSubset(of: allowed), "seed \(seed), round \(round)")
        #expect(!network.atVictim.contains(.data), "seed \(seed), round \(round)")
        // For each datagram one question at most, and to a probe its answer.
        let answers = network.atVictim.count { if case .answer = $0 { true } else { false } }
        let others = network.atVictim.count - answers
        #expect(max(answers, others) <= network.spoofed, "\(network.atVictim), seed \(seed), round \(round)")
    }

    private func apply(
        _ event: Event, to network: SimulatedNetwork, _ places: inout Set<Endpoint>, _ generator: inout SeededGenerator
    ) {
        let end = network.ends[0]
        func fresh() -> Endpoint {
            Endpoint(
                IPAddress(v4: 0xC000_0200 | .random(in: 3...250, using: &generator)),
                port: .random(in: 1024...65535, using: &generator))
        }
        switch event {
        case .move: end.address = fresh()
        case .mapping: end.mapping = fresh()
        case .home: (end.address, end.mapping) = (PathsTests.one, nil)
        case .cut: network.isCut = true
        case .join: network.isCut = false
        case .attack: network.attack = SimulatedNetwork.Attack.allCases.randomElement(using: &generator) ?? .none
        case .calm: network.attack = .none
        case .loss: network.loss = .random(in: 0...0.3, using: &generator)
        case .quiet: network.ends.randomElement(using: &generator)?.isSending = false
        case .loud: network.ends.randomElement(using: &generator)?.isSending = true
        }
        places.insert(end.reachedAt)
    }
}
