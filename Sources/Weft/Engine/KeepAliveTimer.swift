// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// When a network's next keep-alive is due: at the first call, then one interval after the last one, whatever data
/// was sent between.
final class KeepAliveTimer: Sendable {
    private let interval: UInt64?
    /// Nanoseconds; 0 before the first.
    private let next = Atomic<UInt64>(0)
    /// One was asked for, whatever the interval.
    private let isRequested = Atomic(false)

    init(interval: Duration?) { self.interval = interval?.wholeNanoseconds }

    var isDisabled: Bool { interval == nil && !isRequested.load(ordering: .relaxed) }

    /// Makes one due now.
    func request() { isRequested.store(true, ordering: .relaxed) }

    /// Whether a keep-alive is due. Of several threads that ask at once, one is told so.
    func isDue(at now: Instant) -> Bool {
        if isRequested.load(ordering: .relaxed), isRequested.exchange(false, ordering: .relaxed) { return true }
        guard let interval else { return false }
        let due = next.load(ordering: .relaxed)
        guard now.nanoseconds >= due else { return false }
        let following = max(now.advanced(byNanoseconds: interval).nanoseconds, 1)
        return next.compareExchange(expected: due, desired: following, ordering: .relaxed).exchanged
    }
}
