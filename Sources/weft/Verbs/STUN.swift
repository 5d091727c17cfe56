// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftCommand
import WeftNode
import WeftDiscovery

/// `weft stun`: under which address and port others see us.
enum STUN {
    static func run(_ arguments: [String]) throws(CommandFailure) {
        let arguments = try Arguments(arguments, of: .stun, options: ["json"], operands: 0...16)
        if arguments.operands.isEmpty {
            try showTunnels(json: arguments.has("json"))
        } else {
            try ask(arguments.operands, json: arguments.has("json"))
        }
    }

    private static func ask(_ operands: [String], json: Bool) throws(CommandFailure) {
        var servers: [STUNServerName] = []
        for operand in operands {
            guard let server = STUNServerName(operand) else {
                throw CommandFailure(
                    .usage,
                    "\"\(operand)\" is no STUN server: expected HOST or HOST:PORT, such as stun.example.org:3478")
            }
            servers.append(server)
        }
        let status: STUNStatus
        do throws(DatapathError) {
            status = STUNStatus(try STUNProbe.run(servers))
        } catch {
            throw CommandFailure(.failed, error.description)
        }
        if json {
            Console.printPage(JSON.text(status))
        } else {
            for server in status.servers { Console.print(server.text) }
            for mapping in status.mappings { Console.print("public endpoint: \(mapping.text)") }
        }
        guard !status.mappings.isEmpty else {
            throw CommandFailure(
                .failed, json ? "" : "no server answered: a firewall may drop UDP, or they are no STUN servers")
        }
    }

    /// What the tunnels that are up have learned about their own ports.
    private static func showTunnels(json: Bool) throws(CommandFailure) {
        var found: [String: STUNStatus] = [:]
        try RuntimeFolder.checkAccess()
        for name in RuntimeFolder.names() {
            guard let answer = AdminClient.status(of: name),
                let status = JSON.decode(Status.self, from: answer), let stun = status.stun
            else { continue }
            found[name] = stun
        }
        guard !found.isEmpty else {
            throw CommandFailure(
                .notUp,
                "no tunnel that is up uses STUN: name a server, such as weft stun stun.example.org, or set STUN in a "
                    + "tunnel's file")
        }
        if json { return Console.printPage(JSON.text(found)) }
        for (name, stun) in found.sorted(by: { $0.key < $1.key }) {
            Console.print(Console.bold(name))
            for server in stun.servers { Console.print("  \(server.text)") }
            for mapping in stun.mappings { Console.print("  public endpoint: \(mapping.text)") }
            if stun.answered > 0 { Console.print("  requests answered: \(stun.answered)") }
        }
    }
}
