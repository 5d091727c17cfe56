// SPDX-License-Identifier: Apache-2.0
import Weft

/// Who may ask a ``KeyResponder`` for networks, and for which.
public struct AuthorizedInitiator: Hashable, Sendable {
    public var publicKey: PublicKey
    /// Overlay addresses that it may ask for. Several initiators may have the same ones: an address is theirs who hold it.
    public var prefixes: [Prefix]
    /// Networks that it may hold at once.
    public var networks: Int
    public var suite: Suite
    /// Requests and releases a second, 1...``mostRequestsPerSecond``; what is more waits.
    public var requestsPerSecond: Int
    /// What it speaks. Unless it is ICX's or of Weft's first release, strangers get no answer where it calls.
    public var speaks: PeerProtocol

    public static let defaultNetworks = 1024
    public static let defaultRequestsPerSecond = 200
    public static let mostRequestsPerSecond = 100_000
    /// How many requests and releases it may make at once, or as many as in a second if that is more.
    static let requestsAtOnce = 256
    /// VNIs that one initiator may keep out of use, for each network that it may hold: held, or in quarantine.
    public static let vnisPerNetwork = 15
    /// How many networks all initiators of a responder may hold together if none is to find the VNIs used up by others.
    public static let mostNetworksOfAll = VNIPool.count / vnisPerNetwork

    public init(
        publicKey: PublicKey, prefixes: [Prefix], networks: Int = defaultNetworks, suite: Suite = .aes128GCM,
        requestsPerSecond: Int = defaultRequestsPerSecond, speaks: PeerProtocol = .icx
    ) {
        self.publicKey = publicKey
        self.prefixes = prefixes
        self.networks = networks
        self.suite = suite
        self.requestsPerSecond = requestsPerSecond
        self.speaks = speaks
    }

    var allowance: Allowance {
        Allowance(atOnce: max(Self.requestsAtOnce, requestsPerSecond), perSecond: requestsPerSecond)
    }

    func mayHave(_ address: IPAddress) -> Bool { prefixes.contains { $0.contains(address) } }
}

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

/// How an initiator is doing, for people.
public struct InitiatorStatus: Hashable, Sendable {
    public let publicKey: PublicKey
    /// Sessions that are up.
    public let sessions: Int
    /// Where the newest session comes from; nil without one.
    public let endpoint: Endpoint?
    public let networks: Int
    public let mostNetworks: Int
    /// VNIs that were released and may not be used yet.
    public let quarantined: Int
    public let grants: UInt64
    public let releases: UInt64
    /// Requests and releases that had to wait, as there were more of them than it may make.
    public let delayed: UInt64
    public let refusals: [KeyRefusal: UInt64]
}
