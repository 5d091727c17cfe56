// SPDX-License-Identifier: Apache-2.0
import Foundation
import Weft
import WeftConfig
import WeftControl

/// How long a key plane's grants take, and what a network costs the responder: many initiators, one responder, loopback.
///
/// Usage: weft-bench-keys [INITIATORS [NETWORKS-EACH [COMMAND]]]; with the path of a `weft`, that serves keys, as root.
@main
struct KeyBenchmark {
    static func main() throws {
        let arguments = CommandLine.arguments.dropFirst()
        if arguments.first == "serve" { return try Responder.serve() }
        let numbers = arguments.compactMap { Int($0) }
        try KeyBenchmark(
            initiators: numbers.first ?? 1000, each: numbers.dropFirst().first ?? 10,
            command: arguments.count > 2 ? arguments.last : nil
        ).run()
    }

    let initiators: Int
    let each: Int
    let command: String?
    /// Grants per second where they are asked for at a steady pace, and how many.
    private let pace = 200
    private let paced = 2000

    private func run() throws {
        let identities = try (0..<initiators).map { _ in SharedIdentity(try Identity.generate()) }
        let keys = identities.map(\.publicKey)
        let responder = try command.map { try Responder.start($0, for: keys) } ?? Responder.start(for: keys)
        defer { responder.process.terminate() }
        let fleet = try Fleet(
            identities,
            .init(responder: responder.key, endpoint: responder.endpoint, timeout: .seconds(60)))
        let empty = try responder.memory()

        let began = SystemCall.now()
        for member in fleet.members { member.ask(at: began) }
        try expect(fleet.run(atMost: 60) { fleet.members.allSatisfy { $0.held.count == 1 } }, fleet)
        let connecting = Self.seconds(since: began)
        report("\(initiators) initiators call at once and ask for a network each", fleet.takeTimes(), in: connecting)
        let connected = try responder.memory()

        let filling = SystemCall.now()
        for member in fleet.members { member.ask(at: filling) }
        let isFull = { fleet.members.allSatisfy { $0.held.count == each } }
        try expect(
            fleet.run(atMost: 300, until: isFull) { member, now in
                if member.held.count < each { member.ask(at: now) }
            }, fleet)
        report(
            "all ask for \(each - 1) more, one after the other", fleet.takeTimes(), in: Self.seconds(since: filling))
        let full = try responder.memory()

        let pacing = SystemCall.now()
        var asked = 0
        var granted = 0
        try expect(
            fleet.run(
                atMost: 60,
                until: {
                    let now = SystemCall.now()
                    let due = Int(Self.seconds(since: pacing) * Double(pace))
                    while asked < min(due, paced) {
                        let member = fleet.members[asked * 7919 % initiators]
                        member.release(at: now)
                        member.ask(at: now)
                        asked += 1
                    }
                    return granted == paced
                }, { _, _ in granted += 1 }), fleet)
        report(
            "with \(initiators * each) networks, one released and one asked for \(pace) times a second",
            fleet.takeTimes(), in: Self.seconds(since: pacing))

        let network = Double(full - connected) / Double(initiators * (each - 1))
        print(
            "responder: \(empty / 1024) MiB with nobody there, \(connected / 1024) with \(initiators) sessions, ",
            terminator: "")
        print("\(full / 1024) with \(initiators * each) networks")
        print(
            String(format: "a session with a network %.1f KiB, ", Double(connected - empty) / Double(initiators)),
            terminator: "")
        print(String(format: "a network %.2f KiB", network))
    }

    private struct Failed: Error {}

    private func expect(_ isDone: Bool, _ fleet: Fleet) throws {
        if isDone, fleet.failures.isEmpty, fleet.lost == 0 { return }
        print(
            "not done: failures \(fleet.failures), lost \(fleet.lost), held \(fleet.members.map(\.held.count).reduce(0, +))"
        )
        throw Failed()
    }

    private static func seconds(since start: Instant) -> Double {
        Double(SystemCall.now().nanoseconds - start.nanoseconds) / 1e9
    }

    private func report(_ what: String, _ times: [Double], in seconds: Double) {
        guard let longest = times.last else { return }
        func milliseconds(_ share: Double) -> String {
            String(format: "%.2f", times[Int(Double(times.count - 1) * share)] * 1000)
        }
        print(
            "\(what): \(times.count) grants in \(String(format: "%.2f", seconds)) s, p50 \(milliseconds(0.5)) ms, "
                + "p99 \(milliseconds(0.99)) ms, longest \(String(format: "%.2f", longest * 1000)) ms")
    }
}
