// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import Weft

/// A daemon's log: lines on standard error, which a service manager stamps with the time, or in the system's log.
struct Log: Sendable {
    /// The tunnel's name, in front of each line.
    let name: String

    private static let usesSystemLog = Atomic(false)

    func info(_ text: String) { write(text, LOG_INFO) }

    func warning(_ text: String) { write("warning: \(text)", LOG_WARNING) }

    private func write(_ text: String, _ level: Int32) {
        guard Self.usesSystemLog.load(ordering: .relaxed) else {
            return Console.write("weft: \(name): \(text)\n", to: STDERR_FILENO)
        }
        unsafe "\(name): \(text)".withCString { line in
            unsafe withVaList([line]) { unsafe vsyslog(level, "%s", $0) }
        }
    }

    /// Lets go of standard error, whatever it is, and goes on in syslog(3).
    static func goOnInSystemLog() {
        unsafe openlog("weft", LOG_PID, LOG_DAEMON)
        usesSystemLog.store(true, ordering: .relaxed)
        // A detached daemon's standard output is /dev/null.
        dup2(STDOUT_FILENO, STDERR_FILENO)
    }
}

/// Says which packets are dropped: the first of each reason, and again at most once a minute while there are more.
///
/// A line per packet would let anyone fill the disk; no line would leave nobody a hint.
struct DropLog {
    private struct Seen {
        var count: UInt64 = 0
        var nextLine = Instant(nanoseconds: 0)
    }

    private static let interval = Duration.seconds(60)
    private var seen: [DropReason: Seen] = [:]

    /// The lines to log now.
    mutating func lines(for statistics: Statistics, at now: Instant) -> [String] {
        statistics.drops.sorted { $0.key.rawValue < $1.key.rawValue }.compactMap { reason, count in
            var entry = seen[reason, default: Seen()]
            guard count > entry.count, now >= entry.nextLine else { return nil }
            let new = count - entry.count
            entry.count = count
            entry.nextLine = now.advanced(by: Self.interval)
            seen[reason] = entry
            return "dropped \(new) \(new == 1 ? "packet" : "packets"), \(reason): \(reason.explanation)"
        }
    }
}
