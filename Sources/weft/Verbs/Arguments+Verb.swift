// SPDX-License-Identifier: Apache-2.0
import WeftCommand

extension Arguments {
    /// A verb's arguments, with its usage where they are wrong.
    init(
        _ arguments: [String], of verb: Verb, options allowed: Set<String> = [], operands counts: ClosedRange<Int>
    ) throws(CommandFailure) {
        try self.init(
            arguments, of: "weft \(verb.rawValue)", usage: Help.usage(of: verb), options: allowed, operands: Set(counts)
        )
    }
}
