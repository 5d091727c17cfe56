// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import WeftNode
@testable import weft

/// One topology's way through its events.
struct SoakRun {
    let plan: SoakPlan
    let kind: SoakTopology.Kind
    let steps: [SoakPlan.Step]

    /// Seconds from one event to the next at least: what is changed more than ten times a minute is put back later by design.
    private static let gap = 8.0
    /// Seconds without any answer after which an event went wrong altogether.
    private static let hopeless = 120.0

    /// When so many events went wrong altogether the rest makes no sense.
    private static let mostFailed = 3

    /// What it measured, whatever happened.
    func run() async -> SoakReport {
        var report = SoakReport()
        do {
            try await run(&report)
        } catch {
            Issue.record(
                "\(kind): the soak can't go on after \(report.outcomes.count) of \(steps.count) events: \(error); \(seed)"
            )
        }
        return report
    }

    private var seed: String { "WEFT_SOAK_SEED=\(plan.seed)" }

    private func run(_ report: inout SoakReport) async throws {
        let topology = try await SoakTopology(kind)
        let before = try await topology.state()
        // The router's counter counts.
        for address in SoakTopology.world { try await topology.left.expectAnswer(from: address) }
        let clear = try await topology.inTheClear()
        #expect(clear >= 2 * SoakTopology.world.count)

        let loops = try await topology.bringUp()
        let began = try await topology.inTheClear()
        let probes = try await SoakProbes(from: topology.left, to: topology.right)
        var streams: [SoakStream] = []
        for address in SoakTopology.world {
            streams.append(try await SoakStream(from: topology.left, to: topology.right, at: address))
        }
        defer {
            probes.end()
            for stream in streams { stream.end() }
        }
        var watch = SoakWatch(topology, streams, clear: began)
        for step in steps {
            guard topology.has(step.event.need) else {
                report.skipped.insert(step.event.name)
                continue
            }
            let start = ContinuousClock.now
            do {
                report.outcomes.append(try await take(step, topology, probes, &watch))
            } catch {
                report.failed += 1
                let logs = loops.map { String($0.output.standardError.suffix(2000)) }.joined(separator: "\n---\n")
                Issue.record("\(name(of: step)): \(error)\n\(logs)")
                if report.failed >= Self.mostFailed { throw TestFailure("\(report.failed) events failed") }
                try await topology.reset()
            }
            let rest = .seconds(Self.gap) - (ContinuousClock.now - start)
            if rest > .zero { try await Task.sleep(for: rest) }
        }
        report.growths = watch.resources.growths
        for growth in report.growths { #expect(growth.isLevel, "\(kind): \(growth); \(seed)") }
        probes.end()
        for stream in streams { stream.end() }
        report.longestStall = streams.map(\.longestStall).max() ?? .zero
        try await end(topology, loops, before)
    }

    /// One event, and what comes after it.
    private func take(
        _ step: SoakPlan.Step, _ topology: SoakTopology, _ probes: SoakProbes, _ watch: inout SoakWatch
    ) async throws -> SoakReport.Outcome {
        let place = name(of: step)
        let context = try await topology.context(of: step)
        try await topology.run(step.event.change, context)
        var slowest = ("", 0.0)
        if step.event.isBearable {
            slowest = try await recovery(probes)
            try await topology.run(step.event.restoration, context)
        } else if !step.event.restoration.isEmpty {
            try await Task.sleep(for: .seconds(step.chance.pause))
            try await topology.run(step.event.restoration, context)
        }
        let end = ContinuousClock.now
        let last = try await recovery(probes)
        if last.1 >= slowest.1 { slowest = last }
        // What serves nobody at the moment is put back, too.
        try await eventually("weft check --live", within: Self.hopeless) {
            try await topology.left.weft("check", "--live", "weft0").status == 0
        }
        let whole = (ContinuousClock.now - end) / .seconds(1)
        // TCP tries again after as long as it was stopped: the next event waits for it.
        for stream in watch.streams {
            try await eventually("the stream to \(stream.address) to go on", within: Self.hopeless) {
                stream.lastRound > end
            }
        }
        #expect(
            slowest.1 <= max(plan.patience, step.event.patience), "\(place): \(slowest.0) is back after \(slowest.1) s")
        for line in try await watch.look() { Issue.record("\(place): \(line)") }
        if plan.isMeasuring {
            // Who watches a soak sees each at once.
            let line = String(format: ": back after %.2f s, whole after %.2f s\n", slowest.1, whole)
            FileHandle.standardOutput.write(Data((place + line).utf8))
        }
        return SoakReport.Outcome(kind: step.event.name, topology: "\(kind)", recovery: slowest.1)
    }

    /// Waits until all is back: what was the last, and after how many seconds.
    private func recovery(_ probes: SoakProbes) async throws -> (String, Double) {
        let end = ContinuousClock.now
        while true {
            let recoveries = probes.recoveries(after: end)
            if recoveries.allSatisfy({ $0.seconds != nil }) {
                return recoveries.map { ($0.name, $0.seconds ?? 0) }.max { $0.1 < $1.1 } ?? ("", 0)
            }
            guard ContinuousClock.now < end + .seconds(Self.hopeless) else {
                let missing = recoveries.filter { $0.seconds == nil }.map(\.name).joined(separator: ", ")
                throw TestFailure("no answers for \(Self.hopeless) s: \(missing)")
            }
            try await Task.sleep(for: .milliseconds(25))
        }
    }

    private func name(of step: SoakPlan.Step) -> String {
        "event \(step.number), \(step.event.name) (\(kind)), \(seed)"
    }

    /// Ends everything: nothing of it is left.
    private func end(_ topology: SoakTopology, _ loops: [ChildProcess], _ before: String) async throws {
        for host in [topology.left, topology.right] {
            try await host.down()
            _ = try await host.weft("down", "weft1")
        }
        for loop in loops { #expect(try await loop.wait().status == 0) }
        try await topology.reset()
        let after = try await topology.state()
        let difference = stable(after).difference(from: stable(before))
        #expect(difference.isEmpty, "\(kind): left behind: \(difference); \(seed)")
        for host in [topology.left, topology.right] {
            let files = try FileManager.default.contentsOfDirectory(atPath: "\(host.folder)/run")
            #expect(files.isEmpty, "\(kind): run files of \(host.name): \(files); \(seed)")
            try await eventually("the end of all processes on \(host.name)", within: 30) {
                try await host.weftProcesses().isEmpty
            }
        }
    }
}
