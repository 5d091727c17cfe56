// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftControl

// Values that records have in common, reading beside writing.

extension WireReader {
    mutating func link() throws(WireError) -> LinkKind {
        guard let link = LinkKind(rawValue: try number()) else { throw .invalid("a link") }
        return link
    }

    mutating func peerProtocol() throws(WireError) -> PeerProtocol {
        guard let value = PeerProtocol(rawValue: try number()) else { throw .invalid("a protocol") }
        return value
    }

    mutating func duration() throws(WireError) -> Duration {
        let nanoseconds: UInt64 = try number()
        guard let whole = Int64(exactly: nanoseconds) else { throw .invalid("a duration") }
        return .nanoseconds(whole)
    }

    mutating func controlPeer() throws(WireError) -> ControlPeer {
        ControlPeer(
            publicKey: try publicKey(), network: try network(), vni: try vni(),
            endpoint: try optional { (reader) throws(WireError) in try reader.endpoint() },
            isNamed: try flag(), isPinned: try flag(),
            controlPort: try optional { (reader) throws(WireError) in try reader.number() },
            dataPort: try number(), isFirstRelease: try flag(), suite: try suite(),
            rekeyInterval: try duration(),
            presharedKey: try optional { (reader) throws(WireError) in try reader.presharedKey() })
    }

    /// A preshared key, which goes into memory of its own; the message's bytes are its owner's to wipe.
    private mutating func presharedKey() throws(WireError) -> PresharedKey {
        let bytes = try span(PresharedKey.byteCount)
        let secret = SecretBytes(count: bytes.byteCount) { secret in
            // Safe: both have as many bytes.
            for index in secret.indices {
                secret[index] = unsafe bytes.unsafeLoad(fromByteOffset: index, as: UInt8.self)
            }
        }
        guard let key = PresharedKey(secret) else { throw .invalid("a preshared key") }
        return key
    }

    mutating func presence(_ most: Int) throws(WireError) -> PeerPresence {
        let endpoint = try optional { (reader) throws(WireError) in try reader.endpoint() }
        let count = Int(try number(UInt8.self))
        guard count <= most else { throw .invalid("a list of \(count) SPIs") }
        var spis: [UInt32] = []
        for _ in 0..<count { spis.append(try number()) }
        return PeerPresence(endpoint: endpoint, receiveSPIs: spis)
    }

    mutating func grant() throws(WireError) -> GrantRecord {
        let (vni, address, initiator): (UInt32, IPAddress, UInt32) = (try vni(), try address(), try number())
        let place = try addressPair()
        return GrantRecord(
            vni: vni, address: address, initiator: initiator, endpoint: place.remote, localAddress: place.local,
            isReceiveOnly: try flag(), expiry: try instant())
    }

    mutating func activity() throws(WireError) -> ActivityRecord {
        ActivityRecord(
            sent: try number(), lastReceive: try optional { (reader) throws(WireError) in try reader.instant() },
            roamedTo: try optional { (reader) throws(WireError) in try reader.addressPair() },
            usedReceive: try optional { (reader) throws(WireError) in try reader.number() })
    }

    mutating func pair() throws(WireError) -> SAPair {
        SAPair(
            receiveSPI: try number(), receiveKey: try key(), transmitSPI: try number(), transmitKey: try key(),
            expiry: try instant(),
            receiveVNI: try optional { (reader) throws(WireError) in try reader.vni() },
            transmitVNI: try optional { (reader) throws(WireError) in try reader.vni() })
    }

    mutating func peerStatus() throws(WireError) -> PeerStatusRecord {
        let states = ControlPeerStatus.State.allCases
        let state = Int(try number(UInt8.self))
        guard states.indices.contains(state) else { throw .invalid("a state") }
        let endpoint = try optional { (reader) throws(WireError) in try reader.endpoint() }
        guard let role = Role(rawValue: try number()) else { throw .invalid("a role") }
        var status = PeerStatusRecord(
            state: states[state], endpoint: endpoint, role: role,
            lastAgreement: try optional { (reader) throws(WireError) in try reader.instant() },
            agreements: try number(), failures: try number(),
            lastFailure: try optional { (reader) throws(WireError) in try reader.text(most: ToData.longestText) })
        let count = Int(try number(UInt8.self))
        guard count <= PeerStatusRecord.mostHosts else { throw .invalid("a list of \(count) hosts") }
        for _ in 0..<count { status.hostsWithKey.append(try self.endpoint()) }
        return status
    }

    mutating func initiatorStatus() throws(WireError) -> InitiatorStatusRecord {
        var status = InitiatorStatusRecord(
            sessions: try number(), endpoint: try optional { (reader) throws(WireError) in try reader.endpoint() },
            networks: try number(), quarantined: try number(), grants: try number(), releases: try number(),
            delayed: try number(), refusals: [:])
        for refusal in KeyRefusal.allCases {
            let count: UInt64 = try number()
            if count > 0 { status.refusals[refusal] = count }
        }
        return status
    }
}

extension WireWriter {
    mutating func network(_ network: NetworkID) { number(network.rawValue) }

    mutating func duration(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        number(UInt64(clamping: seconds) &* 1_000_000_000 &+ UInt64(clamping: attoseconds / 1_000_000_000))
    }

    mutating func controlPeer(_ peer: ControlPeer) {
        publicKey(peer.publicKey)
        network(peer.network)
        number(peer.vni)
        optional(peer.endpoint) { $0.endpoint($1) }
        flag(peer.isNamed)
        flag(peer.isPinned)
        optional(peer.controlPort) { $0.number($1) }
        number(peer.dataPort)
        flag(peer.isFirstRelease)
        number(peer.suite.rawValue)
        duration(peer.rekeyInterval)
        optional(peer.presharedKey) { writer, key in key.withBytes { unsafe writer.span($0.bytes) } }
    }

    mutating func presence(_ presence: PeerPresence, _ most: Int) {
        optional(presence.endpoint) { $0.endpoint($1) }
        let spis = presence.receiveSPIs.prefix(most)
        number(UInt8(spis.count))
        for spi in spis { number(spi) }
    }

    mutating func grant(_ grant: GrantRecord) {
        number(grant.vni)
        address(grant.address)
        number(grant.initiator)
        addressPair(AddressPair(grant.endpoint, from: grant.localAddress))
        flag(grant.isReceiveOnly)
        instant(grant.expiry)
    }

    mutating func activity(_ activity: ActivityRecord) {
        number(activity.sent)
        optional(activity.lastReceive) { $0.instant($1) }
        optional(activity.roamedTo) { $0.addressPair($1) }
        optional(activity.usedReceive) { $0.number($1) }
    }

    mutating func pair(_ pair: SAPair) {
        number(pair.receiveSPI)
        key(pair.receiveKey)
        number(pair.transmitSPI)
        key(pair.transmitKey)
        instant(pair.expiry)
        optional(pair.receiveVNI) { $0.number($1) }
        optional(pair.transmitVNI) { $0.number($1) }
    }

    mutating func peerStatus(_ status: PeerStatusRecord) {
        number(UInt8(ControlPeerStatus.State.allCases.firstIndex(of: status.state) ?? 0))
        optional(status.endpoint) { $0.endpoint($1) }
        number(status.role.rawValue)
        optional(status.lastAgreement) { $0.instant($1) }
        number(status.agreements)
        number(status.failures)
        optional(status.lastFailure) { $0.text($1, most: ToData.longestText) }
        let hosts = status.hostsWithKey.prefix(PeerStatusRecord.mostHosts)
        number(UInt8(hosts.count))
        for host in hosts { endpoint(host) }
    }

    mutating func initiatorStatus(_ status: InitiatorStatusRecord) {
        number(status.sessions)
        optional(status.endpoint) { $0.endpoint($1) }
        number(status.networks)
        number(status.quarantined)
        number(status.grants)
        number(status.releases)
        number(status.delayed)
        for refusal in KeyRefusal.allCases { number(status.refusals[refusal, default: 0]) }
    }
}
