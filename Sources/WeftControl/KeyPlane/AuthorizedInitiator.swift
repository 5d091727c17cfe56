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
