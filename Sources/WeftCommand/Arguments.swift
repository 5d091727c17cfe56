// SPDX-License-Identifier: Apache-2.0

/// A verb's arguments: operands, and options that begin with `--`, with a value (`--name VALUE` or `--name=VALUE`) or without.
package struct Arguments {
    package private(set) var operands: [String] = []
    private var options: Set<String> = []
    private var values: [String: String] = [:]

    /// - Parameters:
    ///   - command: how the verb is called, as in "weft show".
    ///   - usage: what is printed where the arguments are wrong.
    ///   - allowed: the options without a value that the verb knows, without the dashes.
    ///   - valued: those with one.
    ///   - counts: how many operands it takes.
    package init(
        _ arguments: [String], of command: String, usage: String, options allowed: Set<String> = [],
        valued: Set<String> = [], operands counts: Set<Int>
    ) throws(CommandFailure) {
        var onlyOperands = false
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            guard !onlyOperands, argument.hasPrefix("-"), argument != "-" else {
                operands.append(argument)
                continue
            }
            if argument == "--" {
                onlyOperands = true
                continue
            }
            let parts = argument.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let option = parts.first.map(String.init) ?? ""
            if argument.hasPrefix("--"), allowed.contains(option), parts.count == 1 {
                options.insert(option)
            } else if argument.hasPrefix("--"), valued.contains(option) {
                guard let value = parts.count == 2 ? String(parts[1]) : rest.popFirst() else {
                    throw CommandFailure(.usage, "--\(option) needs a value", usage: usage)
                }
                values[option] = value
            } else {
                throw CommandFailure(.usage, "\(command) has no option \(argument)", usage: usage)
            }
        }
        guard counts.contains(operands.count) else { throw CommandFailure(usage: usage) }
    }

    package func has(_ option: String) -> Bool { options.contains(option) }

    /// An option's value; nil where it wasn't given.
    package func value(of option: String) -> String? { values[option] }
}
