// SPDX-License-Identifier: Apache-2.0
import Weft

/// Which addresses no peer is followed to.
public struct ForbiddenPlaces: Sendable {
    /// The host's own, and those that are all hosts' of one of its networks. Only the file may name one.
    public var addresses: Set<IPAddress> = []
    /// What the host routes into the tunnel: what is sealed would be sealed again and again.
    public var tunnelled: [Prefix] = []

    public init() {}

    /// Whether a datagram may be sent there because somebody, and not the file, suggested it.
    func forbid(_ place: AddressPair) -> Bool {
        let address = place.remote.address
        return !place.remote.canBeReached || address.isLoopback || address.isMapped || addresses.contains(address)
            || tunnelled.contains { $0.contains(address) }
    }
}
