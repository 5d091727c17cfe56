// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization

/// A daemon's log: lines on standard error, which a service manager stamps with the time, or in the system's log.
package struct Log: Sendable {
    /// The tunnel's name, in front of each line.
    package let name: String

    /// Whether only warnings are for anybody to read.
    private let isQuiet: Bool

    package init(name: String, isQuiet: Bool = false) {
        self.name = name
        self.isQuiet = isQuiet
    }

    private static let usesSystemLog = Atomic(false)

    package func info(_ text: String) {
        if !isQuiet { write(text, LOG_INFO) }
    }

    package func warning(_ text: String) { write("warning: \(text)", LOG_WARNING) }

    private func write(_ text: String, _ level: Int32) {
        let line = "\(name): \(text)"
        guard Self.usesSystemLog.load(ordering: .relaxed) else { return Console.error(line) }
        unsafe Harmless.line(line).withCString { line in
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
