// SPDX-License-Identifier: Apache-2.0

/// Limits how often something happens, in fixed windows of 100 ms, each with a tenth of the rate and at least once. A window opens with
/// the first question at or after the previous one's end.
struct WindowLimit {
    private static let window: UInt64 = 100_000_000

    let perWindow: UInt64
    private var end: UInt64 = 0
    private(set) var left: UInt64 = 0

    init(perSecond: UInt64) { perWindow = max(1, perSecond / 10) }

    /// Goes to the window of an instant; whether that is a new one.
    mutating func enter(_ now: Instant) -> Bool {
        guard now.nanoseconds >= end else { return false }
        end = now.advanced(byNanoseconds: Self.window).nanoseconds
        left = perWindow
        return true
    }

    /// Whether it may happen now; then it counts.
    mutating func admits(at now: Instant) -> Bool {
        _ = enter(now)
        guard left > 0 else { return false }
        left -= 1
        return true
    }
}
