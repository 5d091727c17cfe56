// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
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
        let findings: [Finding]
    }

    static func run(_ arguments: [String]) throws(CommandFailure) {
        let arguments = try Arguments(arguments, of: .check, options: ["json"], operands: 1...1)
        let path = TunnelPath(arguments.operands[0]).file
        do throws(TunnelFileError) {
            let configuration = try TunnelFile.load(path: path)
            if arguments.has("json") {
                Console.print(JSON.text(Report(file: path, ok: true, peers: configuration.peers.count, findings: [])))
            } else {
                let peers = configuration.peers.count
                Console.print("\(path): good, \(peers) \(peers == 1 ? "peer" : "peers")")
            }
        } catch {
            if arguments.has("json") {
                let findings = error.diagnostics.map { Report.Finding(line: $0.line, message: $0.message) }
                Console.print(JSON.text(Report(file: path, ok: false, peers: nil, findings: findings)))
                throw CommandFailure(.failed, "")
            }
            throw CommandFailure(.failed, error.lines.joined(separator: "\nweft: "))
        }
    }
}

/// JSON as the command prints it.
enum JSON {
    static func text(_ value: some Encodable) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(value) else { return "{}" }
        return String(decoding: data, as: UTF8.self)
    }
}
