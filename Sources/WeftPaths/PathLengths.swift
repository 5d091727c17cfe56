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
