// SPDX-License-Identifier: Apache-2.0

/// Ends the command with a message for a person.
package struct CommandFailure: Error {
    package let code: ExitCode
    /// What went wrong, each without a line break of its own; empty where it was said already.
    package let lines: [String]
    /// How it is to be called, as a text of ours; empty where that isn't the matter.
    package let usage: String

    package init(_ code: ExitCode, _ lines: [String], usage: String = "") {
        self.code = code
        self.lines = lines
        self.usage = usage
    }

    package init(_ code: ExitCode, _ line: String, usage: String = "") {
        self.init(code, line.isEmpty ? [] : [line], usage: usage)
    }

    /// The arguments are wrong.
    package init(usage: String) { self.init(.usage, [], usage: usage) }
}
