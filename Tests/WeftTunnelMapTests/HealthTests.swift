// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing
import Weft

@testable import WeftTunnelMap

/// A peer that answers or not, on a clock that goes by the machine's own deadlines.
private struct Scene {
    var machine: HealthMachine
    var now = Instant(nanoseconds: 1_000_000_000)
    var isHealthy: Bool?
    /// When health changed, in seconds since the beginning.
    var changes: [(at: Double, isHealthy: Bool)] = []

    init(_ timing: ProbeTiming = ProbeTiming(), seed: UInt64 = 1) {
        machine = HealthMachine(timing, random: Seeded(state: seed))
        machine.setPeers(["far"], at: now)
    }

    private var seconds: Double { Double(now.nanoseconds) / 1e9 - 1 }

    private mutating func take(_ change: HealthMachine.Change?) {
        guard let change else { return }
        isHealthy = change.isHealthy
        changes.append((seconds, change.isHealthy))
    }

    /// Lets time pass; each probe is answered if `answers` says so of its number.
    mutating func pass(_ duration: Double, answers: (Int) -> Bool) {
        let end = now.advanced(by: .milliseconds(Int(duration * 1000)))
        var number = 0
        while machine.next < end {
            now = max(now, machine.next)
            let due = machine.advance(to: now)
            due.changes.forEach { take($0) }
            for probe in due.probes {
                if answers(number) { take(machine.answer(from: probe.peer, nonce: probe.nonce, at: now)?.change) }
                number += 1
            }
        }
        now = end
    }
}

struct HealthMachineTests {
    @Test func firstAnswerIsEnough() {
        var scene = Scene()
        scene.pass(0.1) { _ in true }
        #expect(scene.isHealthy == true)
    }

    @Test(arguments: 1...20)
    func deathIsSeenWithinASecond(seed: Int) throws {
        var scene = Scene(seed: UInt64(seed))
        scene.pass(2) { _ in true }
        scene.pass(5) { _ in false }
        let death = try #require(scene.changes.last)
        #expect(!death.isHealthy && death.at > 2.3 && death.at < 3)
    }

    @Test func oneLostProbeIsNoDeath() {
        var scene = Scene()
        scene.pass(20) { $0 % 3 == 2 }
        #expect(scene.changes.count == 1 && scene.isHealthy == true)
    }

    @Test func recoveryTakesAnswersInARow() {
        var scene = Scene()
        scene.pass(1) { _ in true }
        scene.pass(2) { _ in false }
        #expect(scene.isHealthy == false)
        scene.pass(5) { $0 % 3 != 2 }
        #expect(scene.isHealthy == false)
        scene.pass(1) { _ in true }
        #expect(scene.isHealthy == true)
    }

    @Test func flappingIsHeldDownLongerEachTime() {
        var scene = Scene()
        for _ in 0..<6 {
            scene.pass(1) { _ in false }
            while scene.isHealthy != true { scene.pass(0.1) { _ in true } }
            scene.pass(0.5) { _ in true }
        }
        let deaths = scene.changes.filter { !$0.isHealthy }.map(\.at)
        let births = scene.changes.filter(\.isHealthy).map(\.at).dropFirst()
        let held = zip(deaths, births).map { $1 - $0 }
        #expect(held.count == 5)
        for (shorter, longer) in zip(held, held.dropFirst()) { #expect(longer > shorter * 1.4, "\(held)") }
        // A quiet while later all is forgotten.
        scene.pass(130) { _ in true }
        scene.pass(1) { _ in false }
        #expect(scene.isHealthy == false)
        scene.pass(1.2) { _ in true }
        #expect(scene.isHealthy == true)
    }

    @Test func answersCountOnce() throws {
        var machine = HealthMachine(ProbeTiming(), random: Seeded(state: 1))
        let now = Instant(nanoseconds: 1)
        machine.setPeers(["far", "other"], at: now)
        let probes = machine.advance(to: now).probes
        let probe = try #require(probes.first { $0.peer == "far" })
        #expect(machine.answer(from: "other", nonce: probe.nonce, at: now) == nil)
        #expect(machine.answer(from: "nobody", nonce: probe.nonce, at: now) == nil)
        #expect(machine.answer(from: "far", nonce: probe.nonce, at: now) != nil)
        #expect(machine.answer(from: "far", nonce: probe.nonce, at: now) == nil)
    }

    /// Peers that all answer until a moment, and then none, or one.
    private func deaths(answering: Set<String>, for seconds: Double) -> [String: Double] {
        var machine = HealthMachine(ProbeTiming(), random: Seeded(state: 5))
        let start = Instant(nanoseconds: 1_000_000_000)
        var now = start
        machine.setPeers(["a", "b", "c"], at: now)
        var deaths: [String: Double] = [:]
        let silence = start.advanced(by: .seconds(2))
        let end = silence.advanced(by: .milliseconds(Int(seconds * 1000)))
        while machine.next < end {
            now = max(now, machine.next)
            let due = machine.advance(to: now)
            for change in due.changes where !change.isHealthy {
                deaths[change.peer] = Double(now.nanoseconds - silence.nanoseconds) / 1e9
            }
            for probe in due.probes where now < silence || answering.contains(probe.peer) {
                _ = machine.answer(from: probe.peer, nonce: probe.nonce, at: now)
            }
        }
        return deaths
    }

    @Test func allSilentAtOnceIsOurFaultFirst() throws {
        #expect(deaths(answering: [], for: 3).isEmpty)
        let late = deaths(answering: [], for: 6)
        #expect(late.count == 3)
        for death in late.values { #expect(death > 3 && death < 4.5, "\(late)") }
        // One that answers says that we are well: the others are dead as soon as ever.
        let early = deaths(answering: ["b"], for: 3)
        #expect(Set(early.keys) == ["a", "c"])
        for death in early.values { #expect(death < 1, "\(early)") }
    }
}
