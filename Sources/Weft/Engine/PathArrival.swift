// SPDX-License-Identifier: Apache-2.0

/// A probe that came, authentic and fresh.
public struct PathArrival: Hashable, Sendable {
    public let probe: PathProbe
    /// From where, and to which of our addresses.
    public let place: AddressPair
}
