// SPDX-License-Identifier: Apache-2.0
import Weft

/// Keeps an engine's networks in keys: calls peers, agrees on SAs with them, renews them, follows peers to where they go.
///
/// It does no I/O and reads no clock: datagrams go in and come out, and the time is passed in. One thread uses it.
public final class ControlPlane {
    /// Application error codes of sessions that we close.
    enum CloseCode {
        static let done: UInt64 = 0
        static let failed: UInt64 = 1
        /// Another session with the same peer took its place.
        static let superseded: UInt64 = 2
        static let silent: UInt64 = 3
        /// The two ends came to different keys (docs/weft-1.md).
        static let differentKeys: UInt64 = 4
    }

    /// How often peers are looked at where something is awaited.
    static let period = Duration.milliseconds(50)
    /// How often all others are.
    static let calmPeriod = Duration.milliseconds(250)
    static let exchangeTimeout = Duration.seconds(10)
    /// Streams that a peer may have open at once.
    static let streams = 4
    /// How long a call that was answered may go on without another answer.
    static let patience = Duration.seconds(2)
    /// Two sessions that come up within this time were dialled at the same time.
    static let race = Duration.seconds(2)

    let own: PublicKey
    let transport: any SessionTransport
    let engine: any EnginePort
    let log: (String) -> Void
    let jitter: () -> Double
    let drawVNI: () -> UInt32
    /// The VNIs that peers have by their files, or by both ends' keys.
    private(set) var standingVNIs: Set<UInt32> = []
    var lives: [PublicKey: PeerLife] = [:]
    var bySession: [SessionID: PeerLife] = [:]
    private var nextLook = Instant(nanoseconds: 0)
    /// When the time was passed on last.
    var lastLook: Instant?
    private var tunnelled: [Prefix] = []
    /// Those whose endpoint's name should be looked up again.
    var lookups: Set<PublicKey> = []
    /// When peers are shown where we are by data's way, which isn't sent again by itself.
    private var showings: [Instant] = []
    private static let showings: [Duration] = [.zero, .milliseconds(500), .milliseconds(1500)]
    /// Calls that came to nothing.
    public var turnedAway: UInt64 { inVain.count }
    var inVain = CallsInVain()

    /// A control plane beside its engine.
    /// - Parameters:
    ///   - log: takes a line for people, without keys in it.
    ///   - jitter: a number from 0 to 1 for each call.
    public convenience init(
        _ own: PublicKey, over transport: any SessionTransport, engine: Engine,
        jitter: @escaping () -> Double = { .random(in: 0...1) }, log: @escaping (String) -> Void
    ) {
        self.init(own, over: transport, port: LocalEngine(engine), jitter: jitter, log: log)
    }

    /// - Parameters:
    ///   - port: the way to the engine, of which this is the only user.
    ///   - log: takes a line for people, without keys in it.
    ///   - jitter: a number from 0 to 1 for each call.
    ///   - drawVNI: a number from 1 to 2^24 - 1, which nobody can guess.
    public init(
        _ own: PublicKey, over transport: any SessionTransport, port: any EnginePort,
        jitter: @escaping () -> Double = { .random(in: 0...1) },
        drawVNI: @escaping () -> UInt32 = { .random(in: 1..<NetworkID.vnis.upperBound) },
        log: @escaping (String) -> Void
    ) {
        self.own = own
        self.transport = transport
        engine = port
        self.jitter = jitter
        self.drawVNI = drawVNI
        self.log = log
        transport.greet { [weak self] in self?.greeting(to: $0) ?? .own }
    }

    // MARK: Peers

    /// Sets who the peers are. Those that stay as they were keep their sessions and SAs.
    ///
    /// The engine must have their networks before this and for as long as they are peers.
    /// - Parameter tunnelled: what the host routes into the tunnel, the tunnel's own datagrams too: no peer is followed there.
    public func setPeers(
        _ peers: [ControlPeer], tunnelled: [Prefix] = [], at now: Instant
    ) throws(RoleElectionError) {
        var wanted: [PublicKey: (peer: ControlPeer, role: Role)] = [:]
        for peer in peers { wanted[peer.publicKey] = (peer, try Role(local: own, peer: peer.publicKey)) }
        for (key, life) in lives {
            guard let (peer, _) = wanted[key], peer.network == life.peer.network, peer.vni == life.peer.vni,
                peer.controlPort == life.peer.controlPort,
                peer.isFirstRelease == life.peer.isFirstRelease, peer.suite == life.peer.suite
            else {
                drop(life, at: now)
                continue
            }
            if peer.endpoint != life.peer.endpoint {
                life.endpoint = peer.endpoint ?? life.endpoint
                life.redial.reset()
            }
            let isRekeyed = peer.presharedKey != life.peer.presharedKey
            life.peer = peer
            life.due = now
            if isRekeyed { endSessions(of: life, code: CloseCode.superseded, at: now) }
        }
        for (key, (peer, role)) in wanted where lives[key] == nil { lives[key] = PeerLife(peer, role: role) }
        self.tunnelled = tunnelled
        standingVNIs = Set(peers.map(\.vni))
        transport.authorize(wanted.mapValues { PeerTerms(streams: Self.streams, speaks: $0.peer.speaks) })
        nextLook = now
    }

    private func drop(_ life: PeerLife, at now: Instant) {
        endSessions(of: life, code: CloseCode.done, at: now)
        lives[life.peer.publicKey] = nil
    }

    private func endSessions(of life: PeerLife, code: UInt64, at now: Instant) {
        for session in [life.session?.id, life.call].compactMap(\.self) {
            bySession[session] = nil
            transport.close(session, code: code, now: now)
        }
        life.session = nil
        life.call = nil
        life.silence.reset()
        life.redial.reset()
    }

    /// Has all that is due looked at.
    func lookAtAll(from now: Instant) { nextLook = min(nextLook, now) }

    /// Has a peer looked at as soon as possible.
    func hurry(_ life: PeerLife) {
        life.due = Instant(nanoseconds: 0)
        nextLook = Instant(nanoseconds: 0)
    }

    /// We have other addresses: shows peers where we are, as they can't know and may be waiting for us to speak.
    public func showOurselves(at now: Instant) {
        for life in lives.values {
            if let session = life.session { transport.probe(session.id) } else { life.redial.reset() }
            life.due = now
        }
        showings = Self.showings.map { now.advanced(by: $0) }
        nextLook = now
    }

    public func statuses() -> [ControlPeerStatus] { lives.values.map { $0.status() } }

    /// Takes over peers of an engine that went on while its control plane was restarted: they are called where they are, and
    /// none of the SPIs that they send with is offered again. To be called between ``setPeers(_:tunnelled:at:)`` and the first
    /// datagram.
    public func resume(_ presences: [PublicKey: PeerPresence], at now: Instant) {
        for (peer, presence) in presences { lives[peer]?.resume(presence, at: now) }
    }

    // MARK: Time and datagrams

    public func receive(_ datagram: Span<UInt8>, from source: AddressPair, now: Instant) {
        transport.receive(datagram, from: source, now: now)
        handleEvents(at: now)
    }

    /// When ``advance(to:)`` has something to do.
    public var nextDeadline: Instant { min(transport.nextDeadline ?? nextLook, nextLook) }

    public func advance(to now: Instant) {
        transport.advance(to: now)
        handleEvents(at: now)
        handleRefusals(at: now)
        noticeSleep(until: now)
        guard now >= nextLook else { return }
        nextLook = now.advanced(by: Self.period)
        if let showing = showings.first, now >= showing {
            showings.removeFirst()
            for life in lives.values { engine.requestKeepAlive(of: life.peer.network) }
        }
        let due = lives.values.filter { $0.due <= now }
        let activities = engine.activities(of: due.map(\.peer.network))
        for (life, activity) in zip(due, activities) {
            look(at: life, activity, now)
            life.twins.forget(at: now)
            life.due = life.nextLook(after: now)
        }
        handleEvents(at: now)
    }

    public func flush(now: Instant, _ send: (Span<UInt8>, AddressPair) -> Void) {
        transport.flush(now: now, send)
        handleEvents(at: now)
    }

    /// Tells all peers that we go.
    public func close(at now: Instant) {
        for life in Array(lives.values) { drop(life, at: now) }
    }

    private func look(at life: PeerLife, _ activity: NetworkActivity?, _ now: Instant) {
        // ICX's keep-alives, as its data, come from ports where it takes none.
        if let place = activity?.roamedTo, !life.isICX, !life.peer.isPinned,
            admits(place.remote.address, of: life, now)
        {
            let wasElsewhere = life.endpoint != place.remote
            move(life, to: place)
            // QUIC's server can't move (RFC 9000, section 9): what we dialled there is lost.
            if wasElsewhere, let session = life.session, session.isDialed {
                end(life, "the peer moved to \(place.remote)", code: CloseCode.silent, at: now)
            }
        }
        useAwaited(of: life, now)
        if let session = life.session {
            confirm(session, of: life, now)
            keep(session, of: life, activity, now)
        }
        guard life.session == nil || life.isMisplaced else { return }
        if let call = life.call, now >= life.redial.givenUp, !isUnderWay(call, now) {
            giveUp(call, of: life, at: now)
            fail(life, SessionEnd.timeout.description, at: now)
        }
        if life.call == nil, now >= life.redial.due { dial(life, now) }
    }

    /// Whether a call is being answered, only slowly: to begin it anew would cost a busy peer more, and so on.
    private func isUnderWay(_ call: SessionID, _ now: Instant) -> Bool {
        transport.lastHeard(of: call).map { now < $0.advanced(by: Self.patience) } ?? false
    }

    private func dial(_ life: PeerLife, _ now: Instant) {
        chooseCandidate(of: life)
        // Its session is there already.
        if life.session != nil, life.target == life.endpoint { return }
        life.redial.begin(at: now, jitter: jitter(), isLast: life.candidates.isRoundOver)
        life.endResumption(at: now)
        guard let target = life.target else {
            wantLookup(life)
            // Who has to call us may be calling where we no longer are. Without keys this does nothing.
            if !life.isICX, life.endpoint != nil { engine.requestKeepAlive(of: life.peer.network) }
            return
        }
        guard let call = transport.dial(life.peer.publicKey, at: target, now: now) else {
            return fail(life, "no call could be begun", at: now)
        }
        life.call = call
        bySession[call] = life
    }

    /// What a session needs as time goes by.
    private func keep(_ session: LiveSession, of life: PeerLife, _ activity: NetworkActivity?, _ now: Instant) {
        if let exchange = session.exchange, now >= exchange.deadline {
            return end(life, "the peer didn't answer an offer of keys", code: CloseCode.failed, at: now)
        }
        if case .weft(let ratchet) = session.keys, !goOn(ratchet, of: session, life, now) { return }
        if life.role == .initiator, session.exchange == nil, now >= session.nextRekey {
            offer(on: session, of: life, now)
        }
        guard !life.isICX, let activity else { return }
        let authentic = [transport.lastAuthentic(of: session.id), activity.lastReceive].compactMap(\.self).max()
        switch life.silence.judge(authentic: authentic, sent: activity.sent, idleGap: life.idleGap, at: now) {
        case .fine: break
        // A restarted peer answers with a stateless reset, and is dialled at once.
        case .ask: transport.probe(session.id)
        case .probe:
            transport.probe(session.id)
            // Shows the peer where we are, should we have moved.
            engine.requestKeepAlive(of: life.peer.network)
        case .gone: end(life, "the peer is silent", code: CloseCode.silent, at: now)
        }
    }

    /// Whether datagrams to a peer's new address would leave the host. Those that are routed into the tunnel would be sealed
    /// again and again.
    func admits(_ address: IPAddress, of life: PeerLife, _ now: Instant) -> Bool {
        guard let prefix = tunnelled.first(where: { $0.contains(address) }) else { return true }
        fail(
            life,
            "it is at \(address) now, which AllowedIPs \(prefix) lead into the tunnel: name that address as its Endpoint",
            at: now)
        return false
    }

    /// Where a peer is, as something authentic showed.
    func move(_ life: PeerLife, to place: AddressPair) {
        // Where control has a port of its own, only the address tells about data.
        let endpoint = life.isICX ? Endpoint(place.remote.address, port: life.peer.dataPort) : place.remote
        life.endpoint = endpoint
        if life.peer.isNamed { life.candidates.found(at: endpoint) }
        engine.updateEndpoint(of: life.peer.network, to: AddressPair(endpoint, from: place.local))
    }
}

extension PublicKey {
    /// Enough of the fingerprint to tell peers apart in a log.
    public var shortName: String { String(fingerprint.prefix(10)) }
}
