// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftControl

/// A section `[Initiator]`: who may ask a key server for networks.
public struct InitiatorConfiguration: Sendable {
    /// Networks at once when the file says nothing.
    public static let defaultNetworks = AuthorizedInitiator.defaultNetworks
    /// The most that a file may grant one initiator.
    public static let mostNetworks = 1 << 20
    public static let mostRequestsPerSecond = AuthorizedInitiator.mostRequestsPerSecond

    /// By what it is known; no other initiator's.
    public let publicKey: PublicKey
    /// The prefixes that it may ask addresses in; at least one. Other initiators may have the same.
    public let allowedIPs: [Prefix]
    /// How many networks it may hold at once, 1...``mostNetworks``.
    public let networks: Int
    /// Requests and releases a second, 1...``mostRequestsPerSecond``.
    public let requestsPerSecond: Int
    /// The suite of its networks.
    public let suite: Suite
    /// Whether it runs Weft's first release.
    public let isFirstRelease: Bool
    /// Where each key stands in the file.
    public let lines: SectionLines<InitiatorKey>
}

extension TunnelConfiguration {
    /// What is routed to the device: all that peers claim, and all that initiators may ask for, each prefix once.
    public var routedPrefixes: [Prefix] {
        var seen: Set<Prefix> = []
        return (peers.flatMap(\.allowedIPs) + initiators.flatMap(\.allowedIPs)).filter { seen.insert($0).inserted }
    }
}
