// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftCommand
import WeftConfig
import WeftNode

/// `weft show`: what one tunnel, or every tunnel that is up, says of itself.
enum Show {
    static func run(_ arguments: [String]) throws(CommandFailure) {
        let arguments = try Arguments(arguments, of: .show, options: ["json", "networks"], operands: 0...1)
        let asked = arguments.operands.first.map { TunnelPath($0).name }
        try RuntimeFolder.checkAccess(to: asked)
        let names = asked.map { [$0] } ?? RuntimeFolder.names()
        var found: [Status] = []
        for name in names {
            guard let answer = AdminClient.status(of: name, listingNetworks: arguments.has("networks")),
                let status = JSON.decode(Status.self, from: answer)
            else {
                if arguments.operands.isEmpty { continue }
                throw CommandFailure(.notUp, "no tunnel \(name) is up; `weft show` lists those that are")
            }
            found.append(status)
        }
        if arguments.has("json") {
            Console.printPage(JSON.text(found))
        } else if !found.isEmpty {
            Console.print(Array(found.map(\.lines).joined(separator: [""])))
        }
    }
}

/// `weft reload`: lets a tunnel apply its file as it is now.
enum Reload {
    static func run(_ arguments: [String]) throws(CommandFailure) {
        let arguments = try Arguments(arguments, of: .reload, operands: 1...1)
        let name = TunnelPath(arguments.operands[0]).name
        try RuntimeFolder.checkAccess(to: name)
        let outcome = try AdminClient.outcome(name) { () throws(TunnelFileError) in try AdminClient.reload(name) }
        guard outcome.isGood else {
            let first = "nothing was changed: \(outcome.lines.first ?? "")"
            throw CommandFailure(.failed, [first] + outcome.lines.dropFirst())
        }
        Console.print(outcome.lines)
    }
}

extension AdminClient {
    /// What a tunnel says to a file that is handed to it.
    static func outcome(
        _ name: String, _ ask: () throws(TunnelFileError) -> (lines: [String], isGood: Bool)?
    ) throws(CommandFailure) -> (lines: [String], isGood: Bool) {
        do throws(TunnelFileError) {
            if let outcome = try ask() { return outcome }
        } catch {
            throw CommandFailure(.failed, error.lines)
        }
        throw CommandFailure(.notUp, "no tunnel \(name) is up; `weft show` lists those that are")
    }
}

/// `weft down`: stops a tunnel and waits until its device and routes are gone.
enum Down {
    static func run(_ arguments: [String]) throws(CommandFailure) {
        let arguments = try Arguments(arguments, of: .down, options: ["keep-guard"], operands: 1...1)
        let name = TunnelPath(arguments.operands[0]).name
        try RuntimeFolder.checkAccess(to: name)
        let keepsGuard = arguments.has("keep-guard")
        if let isDone = AdminClient.stop(name, keepingGuard: keepsGuard) {
            if isDone { return }
            throw CommandFailure(.failed, "\(name) runs another release, which can't end so: leave --keep-guard out")
        }
        // One that was killed may have left its guard closed.
        let wasThere: Bool
        do {
            wasThere = try !keepsGuard && InterfaceName.isValidForTunnel(name) && Leftovers.remove(of: name)
        } catch {
            throw CommandFailure(.failed, "\(name) isn't up; what it has left can't be taken away: \(error)")
        }
        guard wasThere else {
            throw CommandFailure(.notUp, "no tunnel \(name) is up; `weft show` lists those that are")
        }
        Console.print("\(name) wasn't up; what it had left is gone, and what it had closed is open")
    }
}
