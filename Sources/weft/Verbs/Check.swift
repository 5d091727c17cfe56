// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
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
        let findings: [Finding]
    }

    static func run(_ arguments: [String]) throws(CommandFailure) {
        let arguments = try Arguments(arguments, of: .check, options: ["json", "against"], operands: 1...2)
        if arguments.has("against") { return try compare(arguments) }
        guard arguments.operands.count == 1 else { throw CommandFailure(.usage, Help.usage(of: .check)) }
        let path = TunnelPath(arguments.operands[0]).file
        do throws(TunnelFileError) {
            let configuration = try TunnelFile.load(path: path)
            if arguments.has("json") {
                let report = Report(
                    file: path, ok: true, peers: configuration.peers.count,
                    initiators: configuration.initiators.count, findings: [])
                Console.print(JSON.text(report))
            } else {
                let (count, what) =
                    configuration.initiators.isEmpty
                    ? (configuration.peers.count, "peer") : (configuration.initiators.count, "initiator")
                Console.print("\(path): good, \(count) \(what)\(count == 1 ? "" : "s")")
            }
        } catch {
            if arguments.has("json") {
                let findings = error.diagnostics.map { Report.Finding(line: $0.line, message: $0.message) }
                Console.print(JSON.text(Report(file: path, ok: false, peers: nil, initiators: nil, findings: findings)))
                throw CommandFailure(.failed, "")
            }
            throw CommandFailure(.failed, error.lines.joined(separator: "\nweft: "))
        }
    }
}

extension Check {
    /// `weft check FILE --against NAME`: the tunnel itself says what it would change.
    private static func compare(_ arguments: Arguments) throws(CommandFailure) {
        guard arguments.operands.count == 2 else { throw CommandFailure(.usage, Help.usage(of: .check)) }
        let name = TunnelPath(arguments.operands[1]).name
        let file = TunnelPath(arguments.operands[0]).file
        let outcome = try AdminClient.outcome(name) { () throws(TunnelFileError) in try AdminClient.plan(name, file) }
        guard outcome.isGood else {
            throw CommandFailure(.failed, outcome.text.replacing("\n", with: "\nweft: "))
        }
        Console.print(outcome.text)
    }
}
