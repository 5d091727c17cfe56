// SPDX-License-Identifier: Apache-2.0
import Weft

/// What a peer's paths ask for.
public enum PathAction: Hashable, Sendable {
    /// Send a sealed probe, whose text has so many bytes.
    case probe(token: UInt64, to: AddressPair, length: Int)
    /// The peer's data goes there from now on.
    case move(to: AddressPair)
    /// Inner packets of that length at most go whole; nil for no limit.
    case limit(Int?)
}
