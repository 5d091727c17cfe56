// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftControl
import WeftNames
import WeftPair

/// Agrees on keys with peers.
final class PeersMachine: HostedMachine {
    let plane: ControlPlane
    let port: RemoteEngine
    let link: LinkKind
    let end: ControlEnd
    var machine: any ControlMachine { plane }
    private var keys: [NetworkID: PublicKey] = [:]
    private var networks: [PublicKey: NetworkID] = [:]
    private var told: [NetworkID: PeerStatusRecord] = [:]
    private var turnedAwayTold: UInt64 = 0

    init(_ own: PublicKey, _ link: LinkKind, over transport: any SessionTransport, _ end: ControlEnd) {
        self.link = link
        self.end = end
        port = RemoteEngine(link) { end.send($0) }
        plane = ControlPlane(own, over: transport, port: port) { end.send(.log($0)) }
    }

    func setPeers(_ list: PeerList, at now: Instant) throws {
        try plane.setPeers(list.peers, tunnelled: list.tunnelled, at: now)
        plane.resume(list.presences, at: now)
        keys = Dictionary(list.peers.map { ($0.network, $0.publicKey) }) { first, _ in first }
        networks = Dictionary(list.peers.map { ($0.publicKey, $0.network) }) { first, _ in first }
        told = told.filter { keys[$0.key] != nil }
    }

    func takeLookups() -> [NetworkID] { plane.takeLookups().compactMap { networks[$0] } }

    func tellStatus() {
        for status in plane.statuses() {
            let record = PeerStatusRecord(status)
            guard told[status.network] != record else { continue }
            told[status.network] = record
            end.send(.peerStatus(status.network, record))
        }
        if plane.turnedAway != turnedAwayTold {
            turnedAwayTold = plane.turnedAway
            end.send(.turnedAway(link, turnedAwayTold))
        }
    }

    func setCandidates(_ change: NameBook.Change, of network: NetworkID, at now: Instant) {
        guard let peer = keys[network] else { return }
        plane.setCandidates(change.places, of: peer, isRenamed: change.isRenamed, at: now)
    }

    func addressesChanged(at now: Instant) { plane.showOurselves(at: now) }
}
