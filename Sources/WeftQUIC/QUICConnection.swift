// SPDX-License-Identifier: Apache-2.0
import CWeftQUIC
import Weft
import WeftControl

/// One QUIC connection: ngtcp2's, GnuTLS's session, and the bytes that wait to be acknowledged.
@safe
final class QUICConnection {
    let id: SessionID
    let isDialed: Bool
    /// The address of ours that was called, from which all answers leave; nil leaves the choice to the kernel, as where we call.
    let local: IPAddress?
    var connection: OpaquePointer?
    /// Nil once the handshake is done: what TLS knows is needed no more, and TLS has nothing to say any more.
    private var session: TLSSession?
    private var rootSecret: SecretBytes?
    private let reference: UnsafeMutablePointer<ngtcp2_crypto_conn_ref>
    private let wanted: (PublicKey) -> Bool
    private let mayBeFirstRelease: (PublicKey) -> Bool
    private let greets: (PublicKey) -> Capabilities
    let tags: ConnectionTags
    let resets: ResetTokens
    /// When a server's handshake ends unless a whole ClientHello has come.
    private let helloDue: Instant
    /// Whether TLS has read a whole ClientHello, where we are called.
    var sawClientHello = false
    private let credentials: Credentials

    /// Who the other end proved to be, once it has.
    private(set) var peer: PublicKey?
    private(set) var isEstablished = false
    private(set) var lastAuthentic: Instant?
    private(set) var lastHeard: Instant?
    /// Our ids that lead here.
    var ids: [ConnectionID] = []
    var newIDs: [ConnectionID] = []
    var retiredIDs: [ConnectionID] = []
    var events: [SessionEvent] = []
    var outgoing: [Int64: OutgoingStream] = [:]
    /// Streams that may have something to send, in the order in which they came.
    var unsent: [Int64] = []
    /// The address that the endpoint's index knows.
    var indexedRemote: Endpoint?
    var state = State.open
    /// Where the last packet goes.
    var farewellTarget: Endpoint?
    var farewellIsDue = false
    var farewellsLeft = 4

    // What callbacks note while ngtcp2 reads a datagram.
    var sawAuthentic = false
    var sawReset = false
    var sawRetry = false
    var handshakeIsDone = false
    var refusedKey = false
    private var frameGuard = FrameGuard()
    private(set) var fault: FrameGuard.Fault?
    private var isProbing = false
    /// What both ends say first; nil before the handshake is done, once it is said, and where ICX's protocol is spoken.
    private var greeting: Greeting?
    /// Whether the first stream is the greeting's.
    private(set) var hasGreeting = false
    /// What the other end can do, where `weft/1` is spoken.
    private(set) var peerCapabilities: Capabilities?
    /// What it was told.
    private(set) var ownCapabilities: Capabilities?

    enum State {
        case open
        /// Over. The packet that told the peer, if any, and until when our ids stay known.
        case over(farewell: [UInt8], until: Instant)
    }

    /// Dials where `accepting` is nil, else answers a first packet.
    init?(_ beginning: Beginning, accepting first: FirstPacket?) {
        id = beginning.id
        isDialed = first == nil
        local = beginning.local
        wanted = beginning.wanted
        mayBeFirstRelease = beginning.mayBeFirstRelease
        greets = beginning.greeting
        tags = beginning.tags
        resets = beginning.resets
        helloDue = first == nil ? .distantFuture : beginning.now.advanced(by: QUICRules.helloPatience)
        credentials = beginning.credentials
        unsafe reference = .allocate(capacity: 1)
        unsafe reference.initialize(to: ngtcp2_crypto_conn_ref())
        unsafe reference.pointee.user_data = Unmanaged.passUnretained(self).toOpaque()
        unsafe reference.pointee.get_conn = { reference in
            // Safe: the reference is ours, and GnuTLS calls only while the connection reads or writes.
            guard let owner = unsafe reference?.pointee.user_data else { return nil }
            return unsafe Unmanaged<QUICConnection>.fromOpaque(owner).takeUnretainedValue().connection
        }
        guard
            let session = try? unsafe TLSSession.make(
                dialing: first == nil, speaksWeft: beginning.speaksWeft, credentials, reference: reference),
            let made = unsafe make(beginning, first)
        else { return nil }
        unsafe connection = unsafe made
        unsafe ngtcp2_conn_set_tls_native_handle(made, UnsafeMutableRawPointer(session.handle))
        self.session = consume session
    }

    deinit {
        unsafe ngtcp2_conn_del(connection)
        session = nil
        unsafe reference.deallocate()
    }

    /// The connection that a TLS session belongs to.
    @unsafe
    static func of(_ session: gnutls_session_t) -> QUICConnection? {
        // Safe: every session of ours was given its connection's reference.
        guard let pointer = unsafe gnutls_session_get_ptr(session) else { return nil }
        let reference = unsafe pointer.assumingMemoryBound(to: ngtcp2_crypto_conn_ref.self)
        guard let owner = unsafe reference.pointee.user_data else { return nil }
        return unsafe Unmanaged<QUICConnection>.fromOpaque(owner).takeUnretainedValue()
    }

    /// Asked during the handshake, before the peer has shown that the key is its own.
    func accepts(_ key: PublicKey) -> Bool {
        guard wanted(key) else {
            refusedKey = true
            return false
        }
        peer = key
        return true
    }

    // MARK: Datagrams and time

    var isOpen: Bool {
        if case .open = state { true } else { false }
    }

    /// Where the peer is.
    var remote: Endpoint? {
        unsafe withConnection { connection in
            unsafe ngtcp2_conn_get_path(connection).flatMap { unsafe NetworkPath.endpoint(of: $0.pointee.remote) }
        }
    }

    /// When ``advance(to:)`` has something to do.
    var deadline: Instant {
        switch state {
        case .open:
            min(
                unsafe connection.map { Instant(nanoseconds: unsafe ngtcp2_conn_get_expiry($0)) } ?? .distantFuture,
                min(sawClientHello ? .distantFuture : helloDue, greeting?.due ?? .distantFuture))
        case .over(_, let until): until
        }
    }

    func receive(_ datagram: Span<UInt8>, over path: NetworkPath, now: Instant) {
        if case .over(let farewell, _) = state, !farewell.isEmpty, farewellsLeft > 0 {
            // The other end may not have heard (RFC 9000, section 10.2.1).
            farewellsLeft -= 1
            farewellIsDue = true
        }
        guard isOpen, let connection = unsafe connection else { return }
        sawAuthentic = false
        sawRetry = false
        let code = unsafe datagram.withUnsafeBufferPointer { bytes in
            ReadingConnection.during(self) {
                // Safe: ngtcp2 reads `count` bytes, and the path and the bytes live until it returns.
                unsafe ngtcp2_conn_read_pkt_versioned(
                    connection, path.pointer, NGTCP2_PKT_INFO_V1, nil, bytes.baseAddress, bytes.count,
                    now.nanoseconds)
            }
        }
        // Anybody can send what doesn't decrypt.
        if code == 0, sawAuthentic || sawRetry { lastHeard = now }
        if handshakeIsDone, !isEstablished, code == 0 { establish(at: path.remote, now) }
        if sawAuthentic, isEstablished {
            lastAuthentic = now
            if isProbing { setKeepAlive(QUICRules.keepAlive, probing: false) }
        }
        greet(at: path.remote, now)
        if code != 0 { end(readFailed: code, now) }
    }

    private func establish(at endpoint: Endpoint?, _ now: Instant) {
        guard let violation = session?.violation() else {
            guard let peer, let endpoint else { return close(.violation("no certificate"), code: 1, now) }
            let speaksWeft = session?.speaksWeft ?? false
            guard isDialed || speaksWeft || mayBeFirstRelease(peer) else {
                events.removeAll()
                return close(.firstRelease, code: 1, now)
            }
            rootSecret = session?.rootSecret()
            endTLS()
            isEstablished = true
            lastAuthentic = now
            setKeepAlive(QUICRules.keepAlive, probing: false)
            let place = AddressPair(endpoint, from: local)
            guard speaksWeft else {
                // Bytes of a stream may have come in the same datagram, before we looked.
                return events.insert(.established(id, peer: peer, at: place, dialed: isDialed), at: 0)
            }
            hasGreeting = true
            greeting = Greeting(isDialed: isDialed, due: now.advanced(by: QUICRules.greetingPatience))
            ownCapabilities = greets(peer)
            if isDialed, let frame = ownCapabilities?.frame { _ = open(frame) }
            return
        }
        events.removeAll()
        close(.violation(violation), code: 1, now)
    }

    /// Goes on with the first exchange of `weft/1`, and tells of the session once it is done.
    private func greet(at endpoint: Endpoint?, _ now: Instant) {
        guard isOpen, greeting != nil, let peer, let endpoint else { return }
        let came = events
        events.removeAll()
        switch greeting?.take(came) {
        case .fail(let why): return close(.violation(why), code: 1, now)
        case .answer(let held):
            if let frame = ownCapabilities?.frame { answer(frame, on: Greeting.stream) }
            finish(held)
        case .done(let held): finish(held)
        case .wait, nil: return
        }
        func finish(_ held: [SessionEvent]) {
            peerCapabilities = greeting?.peers
            greeting = nil
            let place = AddressPair(endpoint, from: local)
            events = [.established(id, peer: peer, at: place, dialed: isDialed)] + held
        }
    }

    private func endTLS() {
        if let connection = unsafe connection { unsafe ngtcp2_conn_set_tls_native_handle(connection, nil) }
        session = nil
    }

    /// Whether TLS takes messages.
    var isShakingHands: Bool { session != nil }

    func advance(to now: Instant) {
        guard isOpen, let connection = unsafe connection else { return }
        if !sawClientHello, now >= helloDue { return end(.timeout, now) }
        if let greeting, now >= greeting.due { return close(.timeout, code: 1, now) }
        let code = unsafe ngtcp2_conn_handle_expiry(connection, now.nanoseconds)
        if code != 0 {
            end(
                code == NGTCP2_ERR_IDLE_CLOSE || code == NGTCP2_ERR_HANDSHAKE_TIMEOUT
                    ? .timeout : .violation(Self.text(code)), now)
        }
    }

    func probe() {
        guard isOpen, isEstablished, !isProbing else { return }
        setKeepAlive(QUICRules.probeDelay, probing: true)
    }

    /// Asked with each packet that was decrypted and whose tag was right; false ends the session.
    func admits(_ payload: Span<UInt8>, firstByte: UInt8) -> Bool {
        sawAuthentic = true
        guard let protection = FrameGuard.Protection(firstByte: firstByte) else { return true }
        do throws(FrameGuard.Fault) {
            try frameGuard.check(payload, protection)
            return true
        } catch {
            fault = error
            return false
        }
    }

    /// The first datagram after ``probe()`` asks for an answer; should it be lost, QUIC sends it again. The first one
    /// after the handshake is done tells the end that was dialled.
    func noteSent() {
        if handshakeIsDone, isDialed { frameGuard.mayConfirmHandshake = true }
        if isProbing { setKeepAlive(QUICRules.keepAlive, probing: false) }
    }

    private func setKeepAlive(_ time: UInt64, probing: Bool) {
        guard let connection = unsafe connection else { return }
        unsafe ngtcp2_conn_set_keep_alive_timeout(connection, time)
        isProbing = probing
    }

    func takeRootSecret() -> SecretBytes? {
        guard isOpen, isEstablished else { return nil }
        return rootSecret.take()
    }

    /// Runs `body` with ngtcp2's connection, if it is still open.
    @unsafe
    func withConnection<Result>(_ body: (OpaquePointer) -> Result?) -> Result? {
        guard isOpen, let connection = unsafe connection else { return nil }
        return unsafe body(connection)
    }
}
