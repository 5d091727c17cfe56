// SPDX-License-Identifier: Apache-2.0
import Weft

/// How long packets the overlay's device takes where the paths say so: the longest that any of them does.
///
/// More is taken at once. Less only once it has been less for a while: what a path doesn't take is answered by ICMP meanwhile, and a probe
/// that is lost twice must not change what all connections go by.
public struct DeviceMTU: Sendable {
    /// How long paths must have taken less.
    static let patience = Duration.seconds(10)

    /// Bytes.
    public private(set) var current: Int
    private var lower: (mtu: Int, since: Instant)?

    public init(_ first: Int) { current = first }

    /// Paths take so much now.
    /// - Returns: what the device is to take from now on; nil where that stays.
    public mutating func note(_ longest: Int, at now: Instant) -> Int? {
        if longest >= current {
            lower = nil
            guard longest > current else { return nil }
            current = longest
            return longest
        }
        let since = lower?.since ?? now
        lower = (max(longest, lower?.mtu ?? longest), since)
        guard let lower, now >= since.advanced(by: Self.patience) else { return nil }
        self.lower = nil
        current = lower.mtu
        return current
    }
}
