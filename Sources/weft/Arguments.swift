// SPDX-License-Identifier: Apache-2.0

/// A verb's arguments: options that begin with `--`, which take no value, and operands.
struct Arguments {
    private(set) var operands: [String] = []
    private var options: Set<String> = []

    /// - Parameters:
    ///   - allowed: the options that the verb knows, without the dashes.
    ///   - count: how many operands it takes.
    init(
        _ arguments: [String], of verb: Verb, options allowed: Set<String> = [], operands count: ClosedRange<Int>
    ) throws(CommandFailure) {
        var onlyOperands = false
        for argument in arguments {
            if argument == "--", !onlyOperands {
                onlyOperands = true
            } else if argument.hasPrefix("-"), argument != "-", !onlyOperands {
                guard argument.hasPrefix("--"), allowed.contains(String(argument.dropFirst(2))) else {
                    throw CommandFailure(
                        .usage, "weft \(verb.rawValue) has no option \(argument)\n\(Help.usage(of: verb))")
                }
                options.insert(String(argument.dropFirst(2)))
            } else {
                operands.append(argument)
            }
        }
        guard count.contains(operands.count) else {
            throw CommandFailure(.usage, Help.usage(of: verb))
        }
    }

    func has(_ option: String) -> Bool { options.contains(option) }
}
