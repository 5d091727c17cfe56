// SPDX-License-Identifier: Apache-2.0
import Weft

/// What is known of one peer, from the file and from its sessions.
final class PeerLife {
    var peer: ControlPeer
    let role: Role
    /// Where its data goes, and where it's called if we may.
    var endpoint: Endpoint?
    /// Where a peer with a name may be.
    var candidates = Candidates()
    /// Where such a peer was called last.
    var called: Endpoint?
    /// Whether its session leads to where another name did: it is called by its new one beside that.
    var isMisplaced = false
    var session: LiveSession?
    /// What we send with once the peer is known to open it; it stays though the exchange's session should end meanwhile.
    var awaited: AwaitedTransmit?
    /// The call that is under way.
    var call: SessionID?
    var redial: Redial
    var spis: ReceiveSPIs
    var silence = Silence()
    /// Whether two hosts have its key.
    var twins = Twins()
    /// Whether the peer has ever called us, which counts where it doesn't say whether it could again: it knows where we are, will call
    /// again after a restart, and nobody needs to look.
    var hasCalled = false
    /// Until when a peer that is known from before our start, or our sleep, is called where it was, whatever the file says of its endpoint.
    private var resumedUntil: Instant?

    var agreements: UInt64 = 0
    var lastAgreement: Instant?
    var failures: UInt64 = 0
    var lastFailure: String?
    /// When the same failure may be logged again.
    var nextLog = Instant(nanoseconds: 0)
    /// When it's looked at next.
    var due = Instant(nanoseconds: 0)

    init(_ peer: ControlPeer, role: Role) {
        self.peer = peer
        self.role = role
        endpoint = peer.endpoint
        redial = Redial(isICX: peer.controlPort != nil)
        spis = ReceiveSPIs(role: role, isICX: peer.controlPort != nil)
    }

    var isICX: Bool { peer.controlPort != nil }

    /// How long a peer whose endpoint only the engine knows is called before it is waited for.
    private static let resumption = Duration.seconds(30)

    /// Takes over what an engine that went on without us has of the peer.
    func resume(_ presence: PeerPresence, at now: Instant) {
        if let present = presence.endpoint {
            endpoint = present
            if peer.isNamed { candidates.found(at: present) }
        }
        spis.resume(presence.receiveSPIs)
        if !presence.receiveSPIs.isEmpty { resumedUntil = now.advanced(by: Self.resumption) }
    }

    /// We slept: the peer may have given us up, and if it can call us it does so seldom by now. It is called where it was.
    func wake(at now: Instant) {
        redial.reset()
        resumedUntil = now.advanced(by: Self.resumption)
        due = now
    }

    /// The peer was there, or is waited for as its file says if the time is up.
    func endResumption(at now: Instant = .distantFuture) {
        if let until = resumedUntil, now >= until { resumedUntil = nil }
    }

    /// Where to call; nil when the peer has to.
    ///
    /// That a peer once called us from somewhere isn't enough: after a restart we wouldn't know it, and the peer couldn't tell
    /// by our call whether it must look after us. Only what keeps peers in keys was restarted while the engine went on where
    /// that is said: then the peer doesn't know that it should call.
    var target: Endpoint? {
        guard peer.isCallable || resumedUntil != nil,
            let endpoint = place
        else { return nil }
        guard let controlPort = peer.controlPort else { return endpoint }
        return role == .initiator ? Endpoint(endpoint.address, port: controlPort) : nil
    }

    /// Where it is called, or was last, whoever may call.
    var place: Endpoint? { (peer.isNamed ? called : nil) ?? endpoint }

    /// When a look at it can show something new; sooner where somebody waits for that.
    func nextLook(after now: Instant) -> Instant {
        let isAwaited = session?.pending != nil || awaited != nil || silence.isWatching
        let latest = now.advanced(by: isAwaited ? ControlPlane.period : ControlPlane.calmPeriod)
        let event: Instant? =
            if let session {
                [session.exchange == nil ? session.nextRekey : nil, idleGap.flatMap(silence.question)].compactMap(
                    \.self
                )
                .min()
            } else { call == nil ? redial.due : redial.givenUp }
        return min(latest, max(event ?? latest, now))
    }

    /// After how long a silence of both the peer is asked whether it still knows the session; nil where it isn't: who can
    /// call us does so by itself. A session that the peer dialled knows no token for its resets (RFC 9000 section 10.3), so that only
    /// its silence tells: it is asked sooner.
    var idleGap: Duration? {
        guard let session, !isICX, !(session.peerCanCall ?? (hasCalled || !session.isDialed)) else { return nil }
        return session.isDialed ? session.idleGap : session.idleGap / 2
    }

    func status() -> ControlPeerStatus {
        let state: ControlPeerStatus.State =
            if let session { session.hasAgreed ? .connected : .agreeing } else if call != nil { .dialing } else {
                target == nil ? .listening : .waiting
            }
        return ControlPeerStatus(
            publicKey: peer.publicKey, network: peer.network, state: state, endpoint: endpoint, role: role,
            lastAgreement: lastAgreement, agreements: agreements, failures: failures, lastFailure: lastFailure,
            hostsWithKey: twins.places)
    }
}
