// SPDX-License-Identifier: Apache-2.0
import Weft

extension ControlPlane {
    func handleEvents(at now: Instant) {
        while let event = transport.nextEvent() {
            switch event {
            case .established(let id, let peer, let place, let dialed): adopt(id, peer, at: place, dialed: dialed, now)
            case .ended(let id, let peer, let why): ended(id, peer, why, now)
            case .moved(let id, let place):
                guard let life = bySession[id], let session = life.session, session.id == id else { continue }
                session.place = place.remote
                guard !life.peer.isPinned else { continue }
                follow(life, to: place, now)
            case .received(let id, let stream, let bytes, let isEnd): received(id, stream, bytes, isEnd: isEnd, now)
            case .delivered(let id, let stream): delivered(id, stream, now)
            case .streamFailed(let id, let stream): streamFailed(id, stream, now)
            }
        }
    }

    /// A peer's control came from somewhere.
    private func follow(_ life: PeerLife, to place: AddressPair, _ now: Instant) {
        guard admits(place.remote.address, of: life, now) else { return }
        move(life, to: place)
    }

    private func adopt(_ id: SessionID, _ peer: PublicKey, at place: AddressPair, dialed: Bool, _ now: Instant) {
        guard let life = lives[peer] else {
            return transport.close(id, code: CloseCode.failed, now: now)
        }
        let capabilities = transport.capabilities(of: id)
        if !dialed { life.hasCalled = true }
        let isInitiators = dialed == (life.role == .initiator)
        if let old = life.session {
            // Of two that were dialled at the same time the lower key's wins; later a new one means that the peer lost
            // the old one.
            if old.isInitiators, !isInitiators, now < old.since.advanced(by: Self.race) {
                bySession[id] = nil
                if life.call == id { life.call = nil }
                transport.close(id, code: CloseCode.superseded, now: now)
                return transport.probe(old.id)
            }
            if keeps(old, of: life, not: place.remote, now) {
                bySession[id] = nil
                if life.call == id { life.call = nil }
                return transport.close(id, code: CloseCode.superseded, now: now)
            }
            forget(old, of: life)
            transport.close(old.id, code: CloseCode.superseded, now: now)
        }
        if let call = life.call, call != id, life.role == .responder {
            bySession[call] = nil
            life.call = nil
            transport.close(call, code: CloseCode.superseded, now: now)
        }
        if life.call == id { life.call = nil }
        guard let keys = keys(of: id, with: life) else {
            let isTooOld = capabilities == nil && life.peer.presharedKey != nil
            transport.close(id, code: CloseCode.failed, now: now)
            return isTooOld ? fail(life, Self.needsRatchet, at: now) : ()
        }
        let vnis: SessionVNIs
        let peerCanCall: Bool?
        do throws(Capabilities.Fault) {
            peerCanCall = try capabilities?.canCall()
            vnis = try SessionVNIs(
                life.peer, own: transport.ownCapabilities(of: id), peers: capabilities)
        } catch {
            transport.close(id, code: CloseCode.failed, now: now)
            return fail(life, SessionEnd.violation("\(error)").description, at: now)
        }
        life.spis.begin()
        let idleGap = Silence.idleGap * (1 - 0.2 * jitter())
        let session = LiveSession(
            id, at: place.remote, isInitiators: isInitiators, isDialed: dialed, peerCanCall: peerCanCall,
            idleGap: idleGap, vnis, keys, at: now)
        life.session = session
        life.endResumption()
        life.silence.reset()
        life.due = now
        bySession[id] = life
        engine.setAnswersProbes(capabilities?[Capabilities.probes] != nil, of: life.peer.network)
        engine.setECNMode(capabilities?.carriesECN == true ? .normal : .compatibility, of: life.peer.network)
        if !dialed, !life.peer.isPinned { follow(life, to: place, now) }
        if dialed, let endpoint = life.place { move(life, to: AddressPair(endpoint)) }
        life.isMisplaced = false
        if life.role == .initiator { offer(on: session, of: life, now) }
    }

    /// What a new session's keys come from. Nil where that can't be made, or where the peer has a preshared key, of which ICX's
    /// protocol knows nothing.
    private func keys(of id: SessionID, with life: PeerLife) -> SessionKeys? {
        guard let root = transport.takeRootSecret(of: id) else { return nil }
        guard transport.capabilities(of: id) != nil else {
            guard life.peer.presharedKey == nil, let keys = try? MasterKeys(rootSecret: root) else { return nil }
            return .icx(ICXKeys(keys))
        }
        let ends = life.role == .initiator ? (own, life.peer.publicKey) : (life.peer.publicKey, own)
        let chain = try? KeyChain(
            rootSecret: root, presharedKey: life.peer.presharedKey, initiator: ends.0, responder: ends.1)
        guard let chain else { return nil }
        return .weft(Ratchet(chain))
    }

    private static let needsRatchet =
        "the peer runs the first release of Weft, which knows no PresharedKey: bring it up to date, or take the key out of its section"

    /// Whether a session stays though the peer has called from elsewhere: where two hosts have its key they would take it from each other
    /// as fast as calls go. The one that is there is asked whether it lives; who called does so again, later and later.
    private func keeps(_ session: LiveSession, of life: PeerLife, not place: Endpoint, _ now: Instant) -> Bool {
        // ICX's ends call by timers of their own.
        guard !life.isICX, place != session.place, let heard = transport.lastAuthentic(of: session.id),
            now < heard.advanced(by: Twins.patience), life.twins.take(from: session.place, to: place, at: now)
        else { return false }
        let places = life.twins.places.map(\.description).joined(separator: " and one at ")
        fail(life, "two hosts have this key, one at \(places): give each host a key of its own", at: now)
        transport.probe(session.id)
        return true
    }

    private func ended(_ id: SessionID, _ peer: PublicKey?, _ why: SessionEnd, _ now: Instant) {
        guard let life = bySession.removeValue(forKey: id) else {
            return inVain.note(peer, "peer", why, at: now, log)
        }
        if life.call == id {
            life.call = nil
            life.due = now
            if why == .closedByPeer(code: CloseCode.superseded) { return }
            return fail(life, why.description, at: now)
        }
        guard let session = life.session, session.id == id else { return }
        forget(session, of: life)
        if why == .closedByPeer(code: CloseCode.superseded) {
            // Where the preshared keys differ, sessions end all the time, and calls of both ends meet again and again.
            guard life.lastFailure != RatchetError.differentKeysText, life.twins.lose(at: now) else { return }
            return fail(
                life, "the peer speaks with another host that has our key: give each host a key of its own", at: now)
        }
        fail(life, why.description, at: now)
        if session.hasAgreed { life.redial.reset() }
    }
}
