// SPDX-License-Identifier: Apache-2.0

/// What the packet path noticed of a peer's paths.
public struct PathNews: Sendable {
    public let network: NetworkID
    public internal(set) var arrivals: [PathArrival] = []
    /// Where something newer than all before came from, if that isn't the endpoint.
    public internal(set) var sighting: AddressPair?
}
