// SPDX-License-Identifier: Apache-2.0
import Glibc

/// What the command says to people: results on standard output, everything else on standard error.
package enum Console {
    package static func print(_ text: String) { write(text + "\n", to: STDOUT_FILENO) }

    package static func error(_ text: String) { write("weft: \(text)\n", to: STDERR_FILENO) }

    /// Whether colour helps: only on a terminal, and not where NO_COLOR is set.
    package static let hasColour: Bool = unsafe getenv("NO_COLOR") == nil && isatty(STDOUT_FILENO) == 1

    package static func bold(_ text: String) -> String { hasColour ? "\u{1B}[1m\(text)\u{1B}[0m" : text }

    package static func write(_ text: String, to descriptor: Int32) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { return }
            bytes = bytes.dropFirst(count)
        }
    }
}
