// SPDX-License-Identifier: Apache-2.0
import Foundation
import WeftTestSupport

/// What a soak does: so many events, drawn by a seed, each in one of its topologies.
struct SoakPlan: Sendable {
    /// An event's place in the plan.
    struct Step: Sendable {
        let number: Int
        let event: SoakEvent
        /// What the event's script may vary by.
        let chance: Chance
    }

    /// Drawn for one step.
    struct Chance: Sendable {
        /// Seconds between a change and its restoration.
        let pause: Double
        /// From 0 to 99.
        let number: Int
    }

    let seed: UInt64
    /// Seconds that a tunnel may take from an event's end until all is back.
    let patience: Double
    /// Whether this run is about times: each event is told as it happens.
    let isMeasuring: Bool
    /// By topology, in ``SoakTopology/Kind/all``'s order.
    let steps: [[Step]]

    /// As the environment says: WEFT_SOAK_SEED, WEFT_SOAK_EVENTS, WEFT_SOAK_PATIENCE in seconds, and WEFT_SOAK_ONLY, a
    /// part of events' names or "paths".
    static func fromEnvironment() -> SoakPlan {
        let environment = ProcessInfo.processInfo.environment
        let patience = environment["WEFT_SOAK_PATIENCE"].flatMap { Double($0) }
        return SoakPlan(
            seed: environment["WEFT_SOAK_SEED"].flatMap { UInt64($0) } ?? .random(in: 0...UInt64.max),
            count: environment["WEFT_SOAK_EVENTS"].flatMap { Int($0) } ?? 25,
            // A busy machine that tests takes long; what users are promised a soak asks for.
            patience: patience ?? 60, isMeasuring: patience != nil,
            of: SoakEvent.chosen(by: environment["WEFT_SOAK_ONLY"]))
    }

    /// Every kind occurs once before one occurs again; those that not all topologies can have may be late.
    init(seed: UInt64, count: Int, patience: Double, isMeasuring: Bool, of events: [SoakEvent]) {
        self.seed = seed
        self.patience = patience
        self.isMeasuring = isMeasuring
        var generator = SeededGenerator(seed: seed)
        let kinds = SoakTopology.Kind.all
        var steps = [[Step]](repeating: [], count: kinds.count)
        var deck: [SoakEvent] = []
        let turns = kinds.indices.filter { kind in events.contains { kinds[kind].has($0.need) } }
        for number in 0..<(turns.isEmpty ? 0 : count) {
            let turn = turns[number % turns.count]
            // What this topology can't have waits for the next one.
            func isPossible(_ event: SoakEvent) -> Bool { kinds[turn].has(event.need) }
            if !deck.contains(where: isPossible) { deck = events.shuffled(using: &generator) + deck }
            let chance = Chance(
                pause: Double.random(in: 0...6, using: &generator),
                number: Int.random(in: 0...99, using: &generator))
            guard let index = deck.lastIndex(where: isPossible) else { continue }
            steps[turn].append(Step(number: number + 1, event: deck.remove(at: index), chance: chance))
        }
        self.steps = steps
    }
}
