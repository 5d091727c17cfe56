// SPDX-License-Identifier: Apache-2.0
import Weft

/// Names of peers, and the places that they stand for.
extension ControlPlane {
    /// Peers whose name should be looked up again, as they are silent; told once.
    public func takeLookups() -> [PublicKey] {
        guard !lookups.isEmpty else { return [] }
        defer { lookups.removeAll() }
        return lookups.filter { lives[$0] != nil }
    }

    func wantLookup(_ life: PeerLife) {
        if life.peer.isNamed { lookups.insert(life.peer.publicKey) }
    }

    /// A peer's name was looked up. A session goes on where it is; where the peer has come to have another name, it is called there
    /// beside that.
    /// - Parameters:
    ///   - places: in the order in which they should be called.
    ///   - isRenamed: whether it is another name than before, which leads elsewhere.
    public func setCandidates(_ places: [Endpoint], of peer: PublicKey, isRenamed: Bool = false, at now: Instant) {
        guard let life = lives[peer], life.peer.isNamed else { return }
        let admitted = places.filter { admits($0.address, of: life, now) }
        guard let first = admitted.first else { return }
        let isNews = life.candidates.replace(with: admitted)
        if life.session != nil {
            guard isRenamed, let present = life.endpoint, !admitted.contains(present) else { return }
            life.isMisplaced = true
        } else {
            // Nobody is there who could say more.
            if life.endpoint == nil {
                life.endpoint = first
                engine.updateEndpoint(of: life.peer.network, to: AddressPair(first))
            }
            guard isNews else { return }
            // Nobody is waited for at a place that the name has left.
            if let call = life.call, let called = life.called, !admitted.contains(called) {
                giveUp(call, of: life, at: now)
            }
        }
        life.redial.reset()
        hurry(life)
    }

    /// Chooses where the peer is called next.
    func chooseCandidate(of life: PeerLife) {
        guard life.peer.isNamed, let place = life.candidates.next() else {
            life.isMisplaced = false
            return
        }
        life.called = place
        // One round does: where the peer isn't found under its new name, its session stays what it is.
        if life.candidates.isRoundOver { life.isMisplaced = false }
    }

    func giveUp(_ call: SessionID, of life: PeerLife, at now: Instant) {
        bySession[call] = nil
        life.call = nil
        transport.close(call, code: CloseCode.done, now: now)
    }
}
