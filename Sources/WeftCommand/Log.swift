// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization

/// A daemon's log: lines on standard error, which a service manager stamps with the time, or in the system's log.
package struct Log: Sendable {
    /// The tunnel's name, in front of each line.
    package let name: String

    package init(name: String) { self.name = name }

    private static let usesSystemLog = Atomic(false)

    package func info(_ text: String) { write(text, LOG_INFO) }

    package func warning(_ text: String) { write("warning: \(text)", LOG_WARNING) }

    /// Others' words are in it, such as a key's in etcd: what would move a terminal's cursor, or begin a line, is written as its number.
    static func harmless(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            if scalar.properties.generalCategory == .control {
                result += "\\u{\(String(scalar.value, radix: 16))}"
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    private func write(_ text: String, _ level: Int32) {
        let text = Self.harmless(text)
        guard Self.usesSystemLog.load(ordering: .relaxed) else {
            return Console.write("weft: \(name): \(text)\n", to: STDERR_FILENO)
        }
        unsafe "\(name): \(text)".withCString { line in
            unsafe withVaList([line]) { unsafe vsyslog(level, "%s", $0) }
        }
    }

    /// Lets go of standard error, whatever it is, and goes on in syslog(3).
    package static func goOnInSystemLog() {
        unsafe openlog("weft", LOG_PID, LOG_DAEMON)
        usesSystemLog.store(true, ordering: .relaxed)
        // A detached daemon's standard output is /dev/null.
        dup2(STDOUT_FILENO, STDERR_FILENO)
    }
}
