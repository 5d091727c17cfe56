// SPDX-License-Identifier: Apache-2.0

/// A point in time on whatever clock the caller keeps: the engine reads none.
///
/// A daemon passes CLOCK_BOOTTIME, which counts suspended time too, so that keys age while a host sleeps.
public struct Instant: Hashable, Comparable, Sendable, BitwiseCopyable {
    /// Nanoseconds since the clock's own zero.
    public let nanoseconds: UInt64

    @inlinable
    public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    /// Later than every other: what never expires expires then.
    public static let distantFuture = Instant(nanoseconds: .max)

    /// This instant plus `duration`, at most ``distantFuture``. Negative durations count as none.
    public func advanced(by duration: Duration) -> Instant {
        advanced(byNanoseconds: duration.wholeNanoseconds)
    }

    /// How long it is since an earlier instant; none since a later one.
    public func duration(since earlier: Instant) -> Duration {
        guard nanoseconds > earlier.nanoseconds else { return .zero }
        return .nanoseconds(Int64(clamping: nanoseconds - earlier.nanoseconds))
    }

    @inline(__always)
    func advanced(byNanoseconds amount: UInt64) -> Instant {
        let (sum, overflow) = nanoseconds.addingReportingOverflow(amount)
        return overflow ? .distantFuture : Instant(nanoseconds: sum)
    }

    @inlinable
    public static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }
}

extension Duration {
    /// Nanoseconds, rounded down, from 0 to `UInt64.max`.
    var wholeNanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let (whole, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else { return .max }
        let (sum, wrapped) = whole.addingReportingOverflow(UInt64(attoseconds) / 1_000_000_000)
        return wrapped ? .max : sum
    }
}
