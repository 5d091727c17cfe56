// SPDX-License-Identifier: Apache-2.0
import Weft

/// When the host is to be looked at: soon after a change, never for more than a tenth of the time, and now and then anyway.
struct LookSchedule {
    /// What comes in one flock is looked at once.
    static let settling = Duration.milliseconds(5)
    static let longest = Duration.seconds(30)

    private(set) var next = Instant(nanoseconds: 0)
    /// When everything is to be looked at, whatever came.
    private(set) var full = Instant(nanoseconds: 0)
    private var earliest = Instant(nanoseconds: 0)

    /// Something has changed.
    mutating func changed(at now: Instant) { next = min(next, max(now.advanced(by: Self.settling), earliest)) }

    /// Something is to be looked at no later than then.
    mutating func wait(until then: Instant) { next = min(next, max(then, earliest)) }

    /// It was looked at, which took from `begin` to `end`.
    mutating func looked(from begin: Instant, to end: Instant) {
        let cost = end.nanoseconds > begin.nanoseconds ? end.nanoseconds - begin.nanoseconds : 0
        // Not above what the second within which things are put back leaves.
        earliest = end.advanced(by: .nanoseconds(Int64(min(cost, 50_000_000)) * 9))
        if begin >= full { full = end.advanced(by: Self.longest) }
        next = full
    }
}
