// SPDX-License-Identifier: Apache-2.0
import Glibc
import WeftCommand

/// The program `weft-map`: the kernel's tunnel map and its agent. `weft tunnel-map` runs it too.
@main
enum Main {
    /// How it was called, as usages say it.
    static let name = CommandLine.arguments.first == "weft tunnel-map" ? "weft tunnel-map" : "weft-map"

    static func main() {
        // A reader that goes away, such as `head`, is no reason to die silently.
        _ = signal(SIGPIPE, SIG_IGN)
        do throws(CommandFailure) {
            try run(Array(CommandLine.arguments.dropFirst()))
        } catch {
            Console.report(error)
            exit(error.code.rawValue)
        }
        exit(ExitCode.done.rawValue)
    }

    private static func run(_ arguments: [String]) throws(CommandFailure) {
        if arguments.contains("--help") || arguments.contains("-h") || arguments.first == "help" {
            Console.printPage("\(MapVerb.usage)\n\n\(MapVerb.description)")
        } else if arguments.first == "--version" || arguments.first == "-V" {
            Console.print("weft-map \(Release.version)")
        } else {
            try MapVerb.run(arguments)
        }
    }
}
