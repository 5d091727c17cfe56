// SPDX-License-Identifier: Apache-2.0
import Weft

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
