// SPDX-License-Identifier: Apache-2.0
import Weft

/// How a peer's present path is doing.
public struct PathStatus: Hashable, Sendable {
    public let place: AddressPair?
    /// How long answers take; nil while none came.
    public let roundTrip: Duration?
    /// When it answered last.
    public let lastAnswer: Instant?
    /// Whether it has stopped to answer, or there is none.
    public let isSilent: Bool
    /// The longest inner packet that is known to pass; nil while none is.
    public let mtu: Int?
}
