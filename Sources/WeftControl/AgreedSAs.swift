// SPDX-License-Identifier: Apache-2.0
import Weft

/// What an exchange leads to at one end.
@frozen
public struct AgreedSAs: ~Copyable, Sendable {
    /// The responder's answer, to be written once the SAs are installed; nil at the initiator.
    public let reply: SAOffer?
    /// For what the peer seals: its SPI is the one that we offered.
    public let receive: SecurityAssociation
    /// For what we seal: its SPI is the one that the peer offered.
    public let transmit: SecurityAssociation
}
