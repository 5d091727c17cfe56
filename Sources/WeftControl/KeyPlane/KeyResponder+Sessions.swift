// SPDX-License-Identifier: Apache-2.0
import Weft

extension KeyResponder {
    func handleEvents(at now: Instant) {
        while let event = transport.nextEvent() {
            switch event {
            case .established(let id, let peer, let place, _): adopt(id, peer, at: place, now)
            case .ended(let id, let peer, let why): ended(id, peer, why, now)
            case .moved(let id, let place): moved(id, to: place, at: now)
            case .received(let id, let stream, let bytes, let isEnd):
                guard let session = sessions[id] else { continue }
                received(session, stream, bytes, isEnd: isEnd, now)
            case .delivered(let id, let stream): sessions[id]?.answering[stream] = nil
            case .streamFailed(let id, let stream):
                guard let session = sessions[id] else { continue }
                session.incoming[stream] = nil
                session.waiting.remove(stream)
                // The initiator gave the exchange up and knows of no grant.
                if let vni = session.answering.removeValue(forKey: stream), let grant = grants[vni] {
                    withdraw(grant, at: now)
                }
            }
        }
    }

    private func adopt(_ id: SessionID, _ peer: PublicKey, at place: AddressPair, _ now: Instant) {
        guard let life = initiators[peer], let keys = MasterKeys.taken(from: transport, of: id) else {
            return transport.close(id, code: ControlPlane.CloseCode.failed, now: now)
        }
        guard admits(place.remote) else {
            note(.tunnelled, by: life, now)
            return transport.close(id, code: ControlPlane.CloseCode.failed, now: now)
        }
        if life.sessions.count >= Self.sessionsOfOne, let oldest = longestSilent(of: life) {
            forget(oldest, at: now)
            transport.close(oldest.id, code: ControlPlane.CloseCode.superseded, now: now)
        }
        let session = KeySession(id, of: life, at: place, keys)
        life.sessions.append(session)
        sessions[id] = session
        if life.sessions.count == 1, life.lines.admits(at: now) { say(life, "connected at \(place.remote)") }
    }

    private func longestSilent(of life: InitiatorLife) -> KeySession? {
        let zero = Instant(nanoseconds: 0)
        return life.sessions.min { one, other in
            (transport.lastAuthentic(of: one.id) ?? zero) < (transport.lastAuthentic(of: other.id) ?? zero)
        }
    }

    private func ended(_ id: SessionID, _ peer: PublicKey?, _ why: SessionEnd, _ now: Instant) {
        guard let session = sessions[id] else {
            return inVain.note(peer, "initiator", why, at: now, log)
        }
        let life = session.initiator
        let count = session.granted.count
        forget(session, at: now)
        if life.sessions.isEmpty, life.lines.admits(at: now) { say(life, "gone: \(why); \(count) networks released") }
    }

    /// Forgets a session with all that was granted on it.
    func forget(_ session: KeySession, at now: Instant) {
        for vni in session.granted {
            if let grant = grants[vni] { withdraw(grant, at: now) }
        }
        sessions[session.id] = nil
        moving[session.id] = nil
        session.initiator.sessions.removeAll { $0 === session }
    }

    func say(_ life: InitiatorLife, _ text: String) { log("initiator \(life.policy.publicKey.shortName): \(text)") }
}
