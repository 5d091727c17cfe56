// SPDX-License-Identifier: Apache-2.0
import Weft

/// How sessions end, and what is said of it.
extension ControlPlane {
    /// Ends a peer's session for a reason of ours; the next call follows at once.
    func end(_ life: PeerLife, _ why: String, code: UInt64, at now: Instant) {
        guard let session = life.session else { return }
        let isNew = !session.hasAgreed
        forget(session, of: life)
        transport.close(session.id, code: code, now: now)
        fail(life, why, at: now)
        if !isNew { life.redial.reset() }
    }

    func forget(_ session: LiveSession, of life: PeerLife) {
        bySession[session.id] = nil
        if life.session === session {
            life.session = nil
            life.silence.reset()
            life.candidates.begin()
        }
        wantLookup(life)
        hurry(life)
    }

    /// Counts a failure, and logs it unless the same was logged within the last minute.
    func fail(_ life: PeerLife, _ why: String, at now: Instant) {
        life.failures += 1
        wantLookup(life)
        let isNews = life.lastFailure != why
        life.lastFailure = why
        guard isNews || now >= life.nextLog else { return }
        life.nextLog = now.advanced(by: .seconds(60))
        log("peer \(life.peer.publicKey.shortName): \(why)")
    }

    func say(_ life: PeerLife, _ text: String) { log("peer \(life.peer.publicKey.shortName): \(text)") }
}
