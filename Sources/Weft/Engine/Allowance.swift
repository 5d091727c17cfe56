// SPDX-License-Identifier: Apache-2.0

/// How often something may happen: so many times at once, and then once in each interval.
package struct Allowance: Sendable {
    private let interval: UInt64
    private let span: UInt64
    /// When all of it is there again, in nanoseconds.
    private var whole: UInt64 = 0

    /// - Parameters:
    ///   - burst: how many at once; at least 1.
    ///   - interval: how long one takes to come back; more than none, and below an hour.
    package init(atOnce burst: Int, every interval: Duration) {
        self.interval = Instant(nanoseconds: 0).advanced(by: interval).nanoseconds
        span = self.interval &* UInt64(clamping: burst)
    }

    /// - Parameter rate: how many a second.
    package init(atOnce burst: Int, perSecond rate: Int) {
        self.init(atOnce: burst, every: .nanoseconds(1_000_000_000 / max(1, rate)))
    }

    /// Whether it may happen once more now; then it counts.
    package mutating func admits(at now: Instant) -> Bool {
        guard now >= next else { return false }
        whole = max(whole, now.nanoseconds) &+ interval
        return true
    }

    /// When it may happen again; in the past if it may now.
    package var next: Instant {
        let due = whole &+ interval
        return Instant(nanoseconds: due > span ? due - span : 0)
    }
}
