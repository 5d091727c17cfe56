// SPDX-License-Identifier: Apache-2.0
import Weft

/// The VNIs of a session's SAs.
struct SessionVNIs: Hashable {
    /// What the peer's datagrams bear.
    let receive: UInt32
    /// What ours bear.
    let transmit: UInt32
}

extension SessionVNIs {
    /// Where both ends named what they receive with, each sends with what the other named. Else both directions bear the VNI that
    /// both know without a word.
    init(_ peer: ControlPeer, own: Capabilities?, peers: Capabilities?) throws(Capabilities.Fault) {
        if let receive = try own?.receiveVNI(), let transmit = try peers?.receiveVNI() {
            self.init(receive: receive, transmit: transmit)
        } else {
            self.init(receive: peer.vni, transmit: peer.vni)
        }
    }
}

extension ControlPlane {
    /// What a peer is told first: the VNI that we receive with in this session, and whether we could call it again. A network without
    /// a VNI of its own gets another each time, so that whoever looks on can't tell by it whose sessions belong together.
    func greeting(to peer: PublicKey) -> Capabilities {
        var capabilities = Capabilities.own
        guard let life = lives[peer] else { return capabilities }
        capabilities.name(receiveVNI: life.peer.network.vni ?? drawFreeVNI())
        capabilities.say(canCall: life.peer.isCallable)
        return capabilities
    }

    /// One that no peer has by its file or its key. Should another session have it, or should an older SA, the engine refuses the
    /// keys, and the next session draws again.
    private func drawFreeVNI() -> UInt32 {
        var vni = drawVNI()
        while standingVNIs.contains(vni) { vni = drawVNI() }
        return vni
    }
}
