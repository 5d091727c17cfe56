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
                if answers(number) { take(machine.answer(from: probe.peer, nonce: probe.nonce, at: now)) }
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
}

struct ProbeMessageTests {
    private var key: FleetKey { FleetKey(copying: [UInt8](repeating: 7, count: 32).span) }

    private func message(_ kind: ProbeMessage.Kind = .probe, time: UInt64 = 1_000_000_000_000) -> ProbeMessage {
        var random = Seeded(state: 3)
        return ProbeMessage(kind, from: "here", to: "there", nonce: ProbeMessage.Nonce(&random), time: time)
    }

    @Test func comesBackAsItWent() {
        for kind in [ProbeMessage.Kind.probe, .answer] {
            let bytes = message(kind).encoded(key) ?? []
            #expect(bytes.count == ProbeMessage.byteCount)
            let read = ProbeMessage(bytes, key)
            #expect(read == message(kind))
        }
    }

    @Test func anyChangeIsRefused() {
        let bytes = message().encoded(key) ?? []
        for index in bytes.indices {
            var other = bytes
            other[index] ^= 1 << UInt8(index % 8)
            let read = ProbeMessage(other, key)
            #expect(read == nil, "byte \(index)")
        }
        for other in [Array(bytes.dropLast()), bytes + [0], []] {
            let read = ProbeMessage(other, key)
            #expect(read == nil)
        }
        let otherKey = FleetKey(copying: [UInt8](repeating: 8, count: 32).span)
        let read = ProbeMessage(bytes, otherKey)
        #expect(read == nil && bytes.count == ProbeMessage.byteCount)
    }

    @Test func replaysAreRefused() {
        var replays = ReplayGuard()
        let now: UInt64 = 1_000_000_000_000
        let second: UInt64 = 1_000_000_000
        let sample = message(time: now)
        let isFirst = replays.admit(sample, now: now)
        let isAgain = replays.admit(sample, now: now + second)
        #expect(isFirst && !isAgain)
        var late = message(time: now)
        late.nonce.low ^= 1
        let isLate = replays.admit(late, now: now + 31 * second)
        let isEarly = replays.admit(late, now: now - 31 * second)
        #expect(!isLate && !isEarly)
    }

    @Test(arguments: [
        (String(repeating: "5a", count: 32), 0o600, true), (String(repeating: "5A", count: 32) + "\n", 0o600, true),
        (String(repeating: "5a", count: 32), 0o640, false), (String(repeating: "5a", count: 31), 0o600, false),
        (String(repeating: "5a", count: 33), 0o600, false), (String(repeating: "5g", count: 32), 0o600, false),
        ("", 0o600, false),
    ])
    func keyFiles(_ text: String, _ mode: Int, _ isGood: Bool) throws {
        let path = NSTemporaryDirectory() + "weft-fleet-key-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
        var isRead = false
        do throws(MapFileError) {
            _ = try FleetKey(contentsOf: path)
            isRead = true
        } catch {
            #expect(error.description.contains(path))
        }
        #expect(isRead == isGood)
    }
}
