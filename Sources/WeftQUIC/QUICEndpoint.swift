// SPDX-License-Identifier: Apache-2.0
import CWeftQUIC
import Weft
import WeftControl

/// One end's QUIC connections (RFC 9000), dialled and accepted, over whatever carries datagrams.
public final class QUICEndpoint: SessionTransport {
    /// Limits on what strangers can make us keep and do.
    public struct Limits: Sendable {
        /// Connections whose other end hasn't proved its key yet, of all sources: the oldest of the source that has most makes
        /// way for another.
        public var handshakes = 1024
        /// The same of one source, an IPv4 address or an IPv6 network of 64 bits.
        public var handshakesPerSource = 32
        /// First packets a second that are answered, of all sources and of one.
        public var calls = 8000
        public var callsPerSource = 50
        /// Stateless resets a second, to all sources and to one.
        public var resets = 2000
        public var resetsPerSource = 50

        public init() {}
    }

    /// What strangers sent, and what became of that.
    public struct Counters: Hashable, Sendable {
        /// No QUIC, or QUIC of no use.
        public var malformed: UInt64 = 0
        public var retries: UInt64 = 0
        public var resets: UInt64 = 0
        public var versionNegotiations: UInt64 = 0
        /// A token that isn't ours, or is too old.
        public var badTokens: UInt64 = 0
        /// Beyond ``Limits``.
        public var overLimit: UInt64 = 0
        /// Handshakes that made way for others.
        public var evicted: UInt64 = 0
        /// First packets without a tag, where none is answered without.
        public var untagged: UInt64 = 0
    }

    public internal(set) var counters = Counters()
    let limits: Limits
    private let credentials: Credentials
    let resets: ResetTokens
    let tags: ConnectionTags
    /// Keys the tokens of Retry packets; good as long as the process lives.
    let retrySecret = (0..<32).map { _ in UInt8.random(in: 0...255) }

    var authorized: [PublicKey: PeerTerms] = [:]
    /// Whether first packets without a tag are answered.
    var answersStrangers = false
    /// Whether callers may choose `weft/1`: not where only ICX's ends call.
    private var acceptsWeft = true
    /// Streams that any peer may have open: whose a call is isn't known before it has been answered.
    var streamLimit = defaultStreams
    var connections: [SessionID: QUICConnection] = [:]
    // What leads to connections, so that none is looked at in vain.
    private var byID: [ConnectionID: SessionID] = [:]
    var byRemote: [Endpoint: Set<SessionID>] = [:]
    private var deadlines = DeadlineHeap<SessionID>()
    /// Those that may have something to send.
    private var touched: Set<SessionID> = []
    private var events = FIFO<SessionEvent>()
    private var nextSession: UInt64 = 1
    var halfOpen = HalfOpen()
    private var latest = Instant(nanoseconds: 1)
    let arrivalPath = NetworkPath()
    private let departurePath = NetworkPath()
    private var buffer = [UInt8](repeating: 0, count: QUICRules.datagramByteCount)
    /// Answers that belong to no connection.
    var loose: [(bytes: [UInt8], to: AddressPair)] = []
    private var greeting: (PublicKey) -> Capabilities = { _ in .own }
    var callLimiter: SourceLimiter
    var resetLimiter: SourceLimiter

    /// - Parameter place: which of the identity's endpoints it is.
    public init(
        _ identity: borrowing Identity, at place: EndpointPlace = EndpointPlace(), limits: Limits = Limits()
    ) throws {
        self.limits = limits
        credentials = try Credentials(identity)
        resets = try ResetTokens(identity, at: place)
        tags = try TagSeed(identity).tags(at: place)
        callLimiter = SourceLimiter(perSource: limits.callsPerSource, total: limits.calls)
        resetLimiter = SourceLimiter(perSource: limits.resetsPerSource, total: limits.resets)
    }

    /// How many connections there are, those that are being closed included.
    public var connectionCount: Int { connections.count }

    private static let defaultStreams = 4

    public func authorize(_ peers: [PublicKey: PeerTerms]) {
        authorized = peers
        streamLimit = peers.values.map(\.streams).max() ?? Self.defaultStreams
        answersStrangers = peers.values.contains { $0.speaks != .weft }
        acceptsWeft = peers.values.contains { $0.speaks != .icx }
    }

    public func greet(with capabilities: @escaping (PublicKey) -> Capabilities) { greeting = capabilities }

    public func dial(_ peer: PublicKey, at endpoint: Endpoint, now: Instant) -> SessionID? {
        guard let key = try? TagKey(callsTo: peer) else { return nil }
        let streams = authorized[peer]?.streams ?? Self.defaultStreams
        return begin(
            at: AddressPair(endpoint), streams: streams, now, calling: ConnectionID(ConnectionTags.makeCall(key)), peer
        ) {
            $0 == peer
        }
    }

    func begin(
        at place: AddressPair, streams: Int, _ now: Instant, calling target: ConnectionID? = nil,
        _ peer: PublicKey? = nil,
        accepting first: QUICConnection.FirstPacket? = nil, wanted: @escaping (PublicKey) -> Bool
    ) -> SessionID? {
        let id = SessionID(rawValue: nextSession)
        nextSession += 1
        let beginning = QUICConnection.Beginning(
            id: id, endpoint: place.remote, local: place.local, target: target, credentials: credentials, tags: tags,
            resets: resets,
            streamLimit: streams, now: later(now),
            speaksWeft: peer.map { authorized[$0]?.speaks ?? .weft == .weft } ?? acceptsWeft, wanted: wanted,
            mayBeFirstRelease: { [weak self] in self?.authorized[$0]?.speaks != .weft },
            greeting: { [weak self] in self?.greeting($0) ?? .own })
        guard let connection = QUICConnection(beginning, accepting: first) else { return nil }
        connections[id] = connection
        for name in connection.ids { byID[name] = id }
        settle(connection)
        return id
    }

    /// ngtcp2 aborts when the time goes backwards.
    private func later(_ now: Instant) -> Instant {
        latest = max(latest, now)
        return latest
    }

    // MARK: Datagrams

    public func receive(_ datagram: Span<UInt8>, from source: AddressPair, now: Instant) {
        let now = later(now)
        // ngtcp2 takes it for granted that there is something; nothing shorter than a stateless reset means anything.
        guard datagram.count >= Self.shortestDatagram else {
            counters.malformed += 1
            return
        }
        var version = unsafe ngtcp2_version_cid()
        // Safe: the ids point into the datagram and are copied while it is lent.
        let (code, destination, origin) = unsafe datagram.withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { return (NGTCP2_ERR_INVALID_ARGUMENT, [UInt8](), [UInt8]()) }
            let code = unsafe ngtcp2_pkt_decode_version_cid(&version, base, bytes.count, ConnectionID.byteCount)
            guard code == 0 || code == NGTCP2_ERR_VERSION_NEGOTIATION else { return (code, [], []) }
            return unsafe (
                code, Array(UnsafeBufferPointer(start: version.dcid, count: version.dcidlen)),
                Array(UnsafeBufferPointer(start: version.scid, count: version.scidlen))
            )
        }
        // ngtcp2 speaks version 2 as well, which nobody asked for.
        let isOurVersion = unsafe version.version == 0 || version.version == NGTCP2_PROTO_VER_V1
        if code == NGTCP2_ERR_VERSION_NEGOTIATION || (code == 0 && !isOurVersion) {
            let id = ConnectionID(destination)
            guard answersStrangers || id.isCall(by: tags) else {
                counters.untagged += 1
                return
            }
            return negotiateVersion(datagram.count, destination, origin, source, now)
        }
        guard code == 0, source.remote.port != 0 else {
            counters.malformed += 1
            return
        }
        let isLong = unsafe version.version != 0 || datagram[0] & 0x80 != 0
        if let session = byID[ConnectionID(destination)], let connection = connections[session] {
            arrivalPath.set(to: source.remote)
            connection.receive(datagram, over: arrivalPath, now: now)
            return settle(connection)
        }
        if isLong {
            let id = ConnectionID(destination)
            guard answersStrangers || id.isOurs(by: tags) || id.isCall(by: tags) else {
                counters.untagged += 1
                return
            }
            acceptFirst(datagram, from: source, now)
        } else {
            takeStray(datagram, destination, source, now)
        }
    }

    // MARK: Time

    public var nextDeadline: Instant? {
        if !touched.isEmpty || !loose.isEmpty { return latest }
        return deadlines.first.flatMap { $0 == .distantFuture ? nil : $0 }
    }

    public func advance(to now: Instant) {
        let now = later(now)
        for session in deadlines.takeDue(at: now) {
            guard let connection = connections[session] else { continue }
            guard connection.isOpen else {
                forget(connection)
                continue
            }
            connection.advance(to: now)
            settle(connection)
        }
    }

    public func flush(now: Instant, _ send: (Span<UInt8>, AddressPair) -> Void) {
        let now = later(now)
        for answer in loose { send(answer.bytes.span, answer.to) }
        loose.removeAll(keepingCapacity: true)
        let due = touched
        touched.removeAll(keepingCapacity: true)
        for session in due {
            guard let connection = connections[session] else { continue }
            let isDone = connection.flush(into: &buffer, over: departurePath, now: now) { datagram, target in
                send(datagram, AddressPair(target, from: connection.local))
            }
            settle(connection)
            if isDone { touched.remove(session) }
        }
    }

    /// Takes over what a connection has to tell, and where it is found. To be called whenever one was used.
    func settle(_ connection: QUICConnection) {
        touched.insert(connection.id)
        deadlines.set(connection.deadline, for: connection.id)
        let remote = connection.remote
        if remote != connection.indexedRemote { index(connection, at: remote) }
        for id in connection.newIDs {
            connection.ids.append(id)
            byID[id] = connection.id
        }
        connection.newIDs.removeAll()
        for id in connection.retiredIDs {
            connection.ids.removeAll { $0 == id }
            byID[id] = nil
        }
        connection.retiredIDs.removeAll()
        for event in connection.events {
            switch event {
            case .established where !connection.isDialed: halfOpen.remove(connection.id)
            case .ended where !connection.isDialed: halfOpen.remove(connection.id)
            default: break
            }
            events.append(event)
        }
        connection.events.removeAll()
    }

    private func index(_ connection: QUICConnection, at remote: Endpoint?) {
        if let old = connection.indexedRemote {
            byRemote[old]?.remove(connection.id)
            if byRemote[old]?.isEmpty ?? false { byRemote[old] = nil }
        }
        if let remote { byRemote[remote, default: []].insert(connection.id) }
        connection.indexedRemote = remote
    }

    private func forget(_ connection: QUICConnection) {
        for id in connection.ids { byID[id] = nil }
        index(connection, at: nil)
        deadlines.remove(connection.id)
        connections[connection.id] = nil
        touched.remove(connection.id)
    }

    // MARK: Sessions

    public func nextEvent() -> SessionEvent? { events.popFirst() }

    /// What the other end can do; nil where ICX's protocol is spoken.
    public func capabilities(of session: SessionID) -> Capabilities? { connections[session]?.peerCapabilities }

    public func ownCapabilities(of session: SessionID) -> Capabilities? { connections[session]?.ownCapabilities }

    public func takeRootSecret(of session: SessionID) -> SecretBytes? { connections[session]?.takeRootSecret() }

    public func open(_ message: [UInt8], on session: SessionID) -> StreamID? {
        guard let connection = connections[session] else { return nil }
        defer { settle(connection) }
        return connection.open(message)
    }

    public func answer(_ message: [UInt8], on stream: StreamID, of session: SessionID) {
        guard let connection = connections[session] else { return }
        connection.answer(message, on: stream)
        settle(connection)
    }

    public func abandon(_ stream: StreamID, of session: SessionID) {
        guard let connection = connections[session] else { return }
        connection.abandon(stream)
        settle(connection)
    }

    public func probe(_ session: SessionID) {
        guard let connection = connections[session] else { return }
        connection.probe()
        settle(connection)
    }

    public func lastAuthentic(of session: SessionID) -> Instant? { connections[session]?.lastAuthentic }

    public func lastHeard(of session: SessionID) -> Instant? { connections[session]?.lastHeard }

    public func close(_ session: SessionID, code: UInt64, now: Instant) {
        guard let connection = connections[session] else { return }
        // What the other end needs to understand our farewell goes first: the end of a handshake.
        var last: [(bytes: [UInt8], to: AddressPair)] = []
        _ = connection.flush(into: &buffer, over: departurePath, now: later(now)) { datagram, target in
            last.append((unsafe datagram.bytes.copied, AddressPair(target, from: connection.local)))
        }
        loose += last
        connection.close(.closed, code: code, later(now))
        settle(connection)
    }
}
