// SPDX-License-Identifier: Apache-2.0
import Glibc

/// What the command says to people: results on standard output, everything else on standard error.
///
/// What is written is made harmless line by line, see ``Harmless``.
package enum Console {
    /// Prints one line, whatever is in it.
    package static func print(_ line: String) { print([line]) }

    package static func print(_ lines: [String]) {
        write(lines.map { shown($0) + "\n" }.joined(), to: STDOUT_FILENO)
    }

    /// Prints a text whose line breaks are our own, such as help or JSON.
    package static func printPage(_ text: String) {
        print(text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init))
    }

    package static func error(_ line: String) { error([line]) }

    package static func error(_ lines: [String]) {
        write(lines.map { "weft: \(shown($0))\n" }.joined(), to: STDERR_FILENO)
    }

    /// Says why the command ends, on standard error.
    package static func report(_ failure: CommandFailure) {
        error(failure.lines)
        if !failure.usage.isEmpty { write(failure.usage + "\n", to: STDERR_FILENO) }
    }

    /// Whether colour helps: only on a terminal, and not where NO_COLOR is set.
    package static let hasColour: Bool = unsafe getenv("NO_COLOR") == nil && isatty(STDOUT_FILENO) == 1

    package static func bold(_ text: String) -> String { hasColour ? boldStart + text + boldEnd : text }

    private static let boldStart = "\u{1B}[1m"
    private static let boldEnd = "\u{1B}[0m"

    /// A line made harmless; what begins and ends bold letters is left in it where we use that ourselves.
    static func shown(_ line: String, withBold: Bool = hasColour) -> String {
        guard withBold else { return Harmless.line(line) }
        return line.split(separator: boldStart, omittingEmptySubsequences: false).map { part in
            part.split(separator: boldEnd, omittingEmptySubsequences: false).map { Harmless.line(String($0)) }
                .joined(separator: boldEnd)
        }.joined(separator: boldStart)
    }

    package static func write(_ text: String, to descriptor: Int32) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { return }
            bytes = bytes.dropFirst(count)
        }
    }
}
