// SPDX-License-Identifier: Apache-2.0
import Glibc
import WeftCommand
import WeftNode
import WeftConfig

/// `weft check`: reads a tunnel file and says all that is wrong with it.
enum Check {
    private struct Report: Encodable {
        struct Finding: Encodable {
            let line: Int?
            let message: String
        }

        let file: String
        let ok: Bool
        let peers: Int?
        let initiators: Int?
        /// Whether whoever calls is answered, since an end of the first release may call.
        let answersStrangers: Bool?
        let findings: [Finding]
    }

    static func run(_ arguments: [String]) throws(CommandFailure) {
        let arguments = try Arguments(arguments, of: .check, options: ["json", "against", "live"], operands: 1...2)
        if arguments.has("live") { return try compareHost(arguments) }
        if arguments.has("against") { return try compare(arguments) }
        guard arguments.operands.count == 1 else { throw CommandFailure(usage: Help.usage(of: .check)) }
        let path = TunnelPath(arguments.operands[0]).file
        do throws(TunnelFileError) {
            let configuration = try TunnelFile.load(path: path)
            if arguments.has("json") {
                let report = Report(
                    file: path, ok: true, peers: configuration.peers.count,
                    initiators: configuration.initiators.count, answersStrangers: answersStrangers(configuration),
                    findings: [])
                Console.printPage(JSON.text(report))
            } else {
                let (count, what) =
                    configuration.initiators.isEmpty
                    ? (configuration.peers.count, "peer") : (configuration.initiators.count, "initiator")
                Console.print("\(path): good, \(count) \(what)\(count == 1 ? "" : "s")")
                if answersStrangers(configuration) {
                    Console.print("\(path): strangers who call are answered, as Protocol = 1 asks")
                }
            }
        } catch {
            if arguments.has("json") {
                let findings = error.diagnostics.map { Report.Finding(line: $0.line, message: $0.message) }
                Console.printPage(
                    JSON.text(
                        Report(
                            file: path, ok: false, peers: nil, initiators: nil, answersStrangers: nil,
                            findings: findings)))
                throw CommandFailure(.failed, "")
            }
            throw CommandFailure(.failed, error.lines)
        }
    }
}

extension Check {
    private static func answersStrangers(_ configuration: TunnelConfiguration) -> Bool {
        configuration.answersStrangers(servesKeys: !configuration.initiators.isEmpty)
    }

    private struct LiveReport: Encodable {
        let tunnel: String
        let ok: Bool
        /// What isn't as it should be, in words.
        let differences: [String]
    }

    /// `weft check --live NAME`: the tunnel compares what it has put into the host with what is there.
    private static func compareHost(_ arguments: Arguments) throws(CommandFailure) {
        guard arguments.operands.count == 1, !arguments.has("against") else {
            throw CommandFailure(usage: Help.usage(of: .check))
        }
        let name = TunnelPath(arguments.operands[0]).name
        try RuntimeFolder.checkAccess(to: name)
        guard let outcome = AdminClient.differences(name) else {
            throw CommandFailure(.notUp, "no tunnel \(name) is up; `weft show` lists those that are")
        }
        let lines = outcome.isGood ? [] : outcome.lines
        if arguments.has("json") {
            Console.printPage(JSON.text(LiveReport(tunnel: name, ok: outcome.isGood, differences: lines)))
            if !outcome.isGood { throw CommandFailure(.failed, "") }
        } else if outcome.isGood {
            Console.print("\(name): the host is as it should be")
        } else {
            throw CommandFailure(.failed, lines.map { "\(name): \($0)" })
        }
    }

    /// `weft check FILE --against NAME`: the tunnel itself says what it would change.
    private static func compare(_ arguments: Arguments) throws(CommandFailure) {
        guard arguments.operands.count == 2 else { throw CommandFailure(usage: Help.usage(of: .check)) }
        let name = TunnelPath(arguments.operands[1]).name
        try RuntimeFolder.checkAccess(to: name)
        let file = TunnelPath(arguments.operands[0]).file
        let outcome = try AdminClient.outcome(name) { () throws(TunnelFileError) in try AdminClient.plan(name, file) }
        guard outcome.isGood else {
            throw CommandFailure(.failed, outcome.lines)
        }
        Console.print(outcome.lines)
    }
}
