// SPDX-License-Identifier: Apache-2.0
import Glibc
import WeftCommand

/// The command `weft`: looks up the verb and runs it.
@main
enum Main {
    static func main() {
        // A reader that goes away, such as `head`, is no reason to die silently.
        _ = signal(SIGPIPE, SIG_IGN)
        let arguments = Array(CommandLine.arguments.dropFirst())
        do throws(CommandFailure) {
            try run(arguments)
        } catch {
            Console.report(error)
            exit(error.code.rawValue)
        }
        exit(ExitCode.done.rawValue)
    }

    private static func run(_ arguments: [String]) throws(CommandFailure) {
        guard let first = arguments.first else {
            Console.printPage(Help.overview)
            throw CommandFailure(.usage, "")
        }
        switch first {
        case "--version", "-V":
            Console.print("weft \(Release.version)")
        case "--help", "-h":
            Console.printPage(Help.overview)
        default:
            guard let verb = Verb(rawValue: first) else {
                throw CommandFailure(.usage, "weft has no verb \"\(first)\"; `weft help` lists them")
            }
            let rest = Array(arguments.dropFirst())
            if verb != .tunnelMap, verb != .run, rest.contains("--help") || rest.contains("-h") {
                Console.printPage(Help.text(of: verb))
                return
            }
            try verb.run(rest)
        }
    }
}

enum Verb: String, CaseIterable {
    case up, run, keyserve, down, show, reload, check, stun, identify, genkey, genpsk, pubkey, keys
    case tunnelMap = "tunnel-map"
    case help, completion

    func run(_ arguments: [String]) throws(CommandFailure) {
        switch self {
        case .up: try Up.run(arguments)
        case .run: try Run.run(arguments)
        case .keyserve: try KeyServe.run(arguments)
        case .down: try Down.run(arguments)
        case .show: try Show.run(arguments)
        case .reload: try Reload.run(arguments)
        case .check: try Check.run(arguments)
        case .stun: try STUN.run(arguments)
        case .identify: try Identify.run(arguments)
        case .genkey: try GenKey.run(arguments)
        case .genpsk: try GenPSK.run(arguments)
        case .pubkey: try PubKey.run(arguments)
        case .keys: try KeyStates.run(arguments)
        case .tunnelMap: try TunnelMapProgram.run(arguments)
        case .help: try Help.run(arguments)
        case .completion: try Completion.run(arguments)
        }
    }
}
