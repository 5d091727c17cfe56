// SPDX-License-Identifier: Apache-2.0
import Weft

/// Why a request for a network was refused. The initiator is told less.
public enum KeyRefusal: String, Error, Hashable, Sendable, CaseIterable, CustomStringConvertible {
    /// The address is none that the initiator may have.
    case prefix
    /// Another initiator holds the address.
    case held
    /// The initiator holds as many networks as it may.
    case limit
    /// Too many of the initiator's VNIs are in quarantine, or all of the space is taken.
    case vnis
    /// The session has no SPI left.
    case spis
    /// The initiator offered another cipher suite.
    case suite
    /// The initiator called from, or went to, an address that is routed into the tunnel.
    case tunnelled
    /// The initiator didn't follow the protocol.
    case protocolError = "protocol"

    public var description: String {
        switch self {
        case .prefix: "it asked for an address outside of its AllowedIPs"
        case .held: "it asked for an address that another initiator holds"
        case .limit: "it holds as many networks as it may: raise Networks, or let it release some"
        case .vnis: "no VNI is free for it until more of the released ones leave their quarantine"
        case .spis: "its session has used up its SPIs: it must begin a new one"
        case .suite: "it asked for another cipher suite: name the same one at both ends"
        case .tunnelled:
            "it calls through the tunnel, where its data would be sealed again and again: have it call an address of ours "
                + "that isn't in its overlay"
        case .protocolError: "it doesn't follow the protocol: run an initiator that does"
        }
    }

    /// What the initiator is told.
    var status: ExchangeStatus {
        switch self {
        case .prefix, .held, .limit, .suite, .tunnelled, .protocolError: .rejected
        case .vnis: .vnisExhausted
        case .spis: .spisExhausted
        }
    }
}
