// SPDX-License-Identifier: Apache-2.0
import Weft

/// How long inner packets may be on a path before it was asked.
public struct PathLengths: Sendable {
    /// Bytes of the longest that is worth asking for, on the way to an endpoint.
    let most: @Sendable (Endpoint) -> Int
    /// Bytes of the longest that goes whole where nothing longer was answered; nil where nothing is held back.
    let unproven: Int?

    private init(most: @escaping @Sendable (Endpoint) -> Int, unproven: Int?) {
        self.most = most
        self.unproven = unproven
    }

    /// As the file says: a path takes that, unless it is found not to.
    public static func fixed(_ mtu: Int) -> PathLengths { PathLengths(most: { _ in mtu }, unproven: nil) }

    /// What each path is found to take.
    /// - Parameters:
    ///   - least: bytes that go to a path that nothing is known of, and to peers that answer no probe.
    ///   - most: what leads to an endpoint takes at best, as far as the host knows; asked again from time to time.
    public static func automatic(
        least: Int, most: @escaping @Sendable (Endpoint) -> Int
    ) -> PathLengths {
        PathLengths(most: { max(most($0), least) }, unproven: least)
    }
}

extension PathLengths {
    func search(to place: AddressPair) -> MTUSearch {
        MTUSearch(place.remote.address.family, most: most(place.remote), unproven: unproven)
    }
}

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
