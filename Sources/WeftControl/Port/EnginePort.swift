// SPDX-License-Identifier: Apache-2.0
import Weft

/// What control machines ask of the engine whose networks they keep in keys.
///
/// The engine may be in the same process (``LocalEngine``) or in another one, so nothing is waited for: what is asked takes
/// effect in the order of the calls, before any datagram that the machine sends afterwards, and what comes of it is told by
/// ``nextEvent()``. One thread at a time uses it.
public protocol EnginePort: AnyObject {
    /// Installs both directions of a network's SAs. See ``Weft/Engine/install(_:for:at:)``.
    func install(_ pair: SAPair, for network: NetworkID, at now: Instant)

    /// Installs what the peer's new datagrams open with. See ``Weft/Engine/installReceive(spi:key:expiry:vni:for:at:)``.
    func installReceive(
        spi: UInt32, key: PacketKey, expiry: Instant, vni: UInt32, for network: NetworkID, at now: Instant)

    /// Seals with a new key from now on. See ``Weft/Engine/installTransmit(spi:key:expiry:grace:vni:for:at:)``.
    func installTransmit(
        spi: UInt32, key: PacketKey, expiry: Instant, grace: Duration, vni: UInt32, for network: NetworkID,
        at now: Instant)

    /// Moves a network's peer, unless it is one that answers probes, and says which of our addresses it is spoken to from.
    func updateEndpoint(of network: NetworkID, to place: AddressPair)

    /// Says whether a network's peer answers sealed probes: from then on it is followed to where it answers one, and
    /// ``updateEndpoint(of:to:)`` only says where it might be.
    func setAnswersProbes(_ answers: Bool, of network: NetworkID)

    /// Says whether a network's peer carries marks of congestion inwards, so that outer headers may be marked.
    func setECNMode(_ mode: ECNMode, of network: NetworkID)

    /// Makes a keep-alive due now.
    func requestKeepAlive(of network: NetworkID)

    /// Some networks' signs of life, in the order of `networks`; nil for one that is unknown. Where a peer roamed to is told once.
    func activities(of networks: [NetworkID]) -> [NetworkActivity?]

    /// Whether anything has come under a network's newest receive SA, if that has this number.
    func isNewestReceive(_ spi: UInt32, usedBy network: NetworkID) -> Bool

    /// Changes the networks that a key server granted, in one step. What can't be added is told by
    /// ``EngineEvent/grantRefused(vni:)``: before this returns, or later, and then nothing that the machine sends after this
    /// call reaches anybody until it was told.
    func apply(_ changes: GrantChanges)

    /// Sets our side of granted networks' routes; an engine in another process knows it from elsewhere.
    func setLocalPrefixes(_ prefixes: [Prefix])

    /// The next thing that the engine answered.
    func nextEvent() -> EngineEvent?
}
