// SPDX-License-Identifier: Apache-2.0
import CWeftQUIC
import Glibc
import Weft
import WeftControl

/// Times and sizes of ICX's control plane, and ours where it names none.
enum QUICRules {
    static let handshakeTimeout: UInt64 = 10_000_000_000
    static let idleTimeout: UInt64 = 30_000_000_000
    static let keepAlive: UInt64 = 10_000_000_000
    /// How soon a probe goes out.
    static let probeDelay: UInt64 = 1_000_000
    /// What the first retransmissions go by: a peer that comes back is found within the doubled gaps of one attempt.
    static let initialRoundTrip: UInt64 = 100_000_000
    /// How long a closed session's ids stay known, so that what is still on its way is no reason for a reset.
    static let closingTime: UInt64 = 1_000_000_000
    /// Bytes in the longest datagram that we send; what every path carries (RFC 9000, section 14).
    static let datagramByteCount = 1200
    /// Bytes that a peer may send on a stream before we have read any: four times a frame.
    static let streamWindow: UInt64 = 16 * 1024
    /// Bytes on all streams together.
    static let sessionWindow: UInt64 = 256 * 1024
}

/// One QUIC connection: ngtcp2's, GnuTLS's session, and the bytes that wait to be acknowledged.
@safe
final class QUICConnection {
    let id: SessionID
    let isDialed: Bool
    private var connection: OpaquePointer?
    private var session: TLSSession?
    private let reference: UnsafeMutablePointer<ngtcp2_crypto_conn_ref>
    private let wanted: (PublicKey) -> Bool
    let resets: ResetTokens
    private let credentials: Credentials

    /// Who the other end proved to be, once it has.
    private(set) var peer: PublicKey?
    private(set) var isEstablished = false
    private(set) var lastAuthentic: Instant?
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
    private(set) var state = State.open

    // What callbacks note while ngtcp2 reads a datagram.
    var sawAuthentic = false
    var sawReset = false
    var handshakeIsDone = false
    private var refusedKey = false
    private var isProbing = false

    enum State {
        case open
        /// Over. The packet that told the peer, if any, and until when our ids stay known.
        case over(farewell: [UInt8], until: Instant)
    }

    /// What a connection is begun with.
    struct Beginning {
        let id: SessionID
        let endpoint: Endpoint
        let credentials: Credentials
        let resets: ResetTokens
        let streamLimit: Int
        let now: Instant
        let wanted: (PublicKey) -> Bool
    }

    /// What a first packet says that came back with a token of ours.
    struct FirstPacket {
        let version: UInt32
        /// What the client calls: the id of our Retry.
        let destination: ConnectionID
        let source: ConnectionID
        /// What it called first.
        let original: ConnectionID
        let token: [UInt8]
    }

    /// Dials where `accepting` is nil, else answers a first packet.
    init?(_ beginning: Beginning, accepting first: FirstPacket?) {
        id = beginning.id
        isDialed = first == nil
        wanted = beginning.wanted
        resets = beginning.resets
        credentials = beginning.credentials
        unsafe reference = .allocate(capacity: 1)
        unsafe reference.initialize(to: ngtcp2_crypto_conn_ref())
        unsafe reference.pointee.user_data = Unmanaged.passUnretained(self).toOpaque()
        unsafe reference.pointee.get_conn = { reference in
            // Safe: the reference is ours, and GnuTLS calls only while the connection reads or writes.
            guard let owner = unsafe reference?.pointee.user_data else { return nil }
            return unsafe Unmanaged<QUICConnection>.fromOpaque(owner).takeUnretainedValue().connection
        }
        guard let session = try? unsafe TLSSession.make(dialing: first == nil, credentials, reference: reference),
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

    @unsafe
    private func make(_ beginning: Beginning, _ first: FirstPacket?) -> OpaquePointer? {
        var settings = unsafe ngtcp2_settings()
        unsafe ngtcp2_settings_default_versioned(NGTCP2_SETTINGS_VERSION_V1, &settings)
        unsafe settings.initial_ts = beginning.now.nanoseconds
        unsafe settings.initial_rtt = QUICRules.initialRoundTrip
        unsafe settings.handshake_timeout = QUICRules.handshakeTimeout
        unsafe settings.max_tx_udp_payload_size = QUICRules.datagramByteCount
        unsafe settings.no_pmtud = 1
        var parameters = unsafe ngtcp2_transport_params()
        unsafe ngtcp2_transport_params_default_versioned(NGTCP2_TRANSPORT_PARAMS_VERSION_V1, &parameters)
        unsafe parameters.initial_max_stream_data_bidi_local = QUICRules.streamWindow
        unsafe parameters.initial_max_stream_data_bidi_remote = QUICRules.streamWindow
        unsafe parameters.initial_max_data = QUICRules.sessionWindow
        unsafe parameters.initial_max_streams_bidi = UInt64(beginning.streamLimit)
        unsafe parameters.max_idle_timeout = QUICRules.idleTimeout
        unsafe parameters.active_connection_id_limit = 4
        let own = ConnectionID.random()
        ids = [own]
        var source = own.native
        let path = NetworkPath(to: beginning.endpoint)
        var callbacks = unsafe Self.callbacks(dialing: first == nil)
        let owner = unsafe Unmanaged.passUnretained(self).toOpaque()
        var made: OpaquePointer?
        guard let first else {
            var destination = ConnectionID.random().native
            let code = unsafe ngtcp2_conn_client_new_versioned(
                &made, &destination, &source, path.pointer, NGTCP2_PROTO_VER_V1, NGTCP2_CALLBACKS_VERSION_V1,
                &callbacks, NGTCP2_SETTINGS_VERSION_V1, &settings, NGTCP2_TRANSPORT_PARAMS_VERSION_V1, &parameters, nil,
                owner)
            return unsafe code == 0 ? made : nil
        }
        // The client goes on to use the id of our Retry until it knows this one.
        ids.append(first.destination)
        unsafe parameters.original_dcid = first.original.native
        unsafe parameters.retry_scid = first.destination.native
        unsafe parameters.retry_scid_present = 1
        unsafe parameters.stateless_reset_token_present = 1
        let hasToken = unsafe withUnsafeMutableBytes(of: &parameters.stateless_reset_token) { token in
            unsafe token.baseAddress.map {
                unsafe resets.write(for: &source, to: $0.assumingMemoryBound(to: UInt8.self))
            }
        }
        guard hasToken == true else { return nil }
        var token = first.token
        var client = first.source.native
        return unsafe token.withUnsafeMutableBufferPointer { token in
            // Safe: ngtcp2 copies the token.
            unsafe settings.token = unsafe ngtcp2_vec(base: token.baseAddress, len: token.count)
            let code = unsafe ngtcp2_conn_server_new_versioned(
                &made, &client, &source, path.pointer, first.version, NGTCP2_CALLBACKS_VERSION_V1,
                &callbacks, NGTCP2_SETTINGS_VERSION_V1, &settings, NGTCP2_TRANSPORT_PARAMS_VERSION_V1, &parameters, nil,
                owner)
            return unsafe code == 0 ? made : nil
        }
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
        case .open: unsafe connection.map { Instant(nanoseconds: unsafe ngtcp2_conn_get_expiry($0)) } ?? .distantFuture
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
        let code = unsafe datagram.withUnsafeBufferPointer { bytes in
            ReadingConnection.during(self) {
                // Safe: ngtcp2 reads `count` bytes, and the path and the bytes live until it returns.
                unsafe ngtcp2_conn_read_pkt_versioned(
                    connection, path.pointer, NGTCP2_PKT_INFO_VERSION_V1, nil, bytes.baseAddress, bytes.count,
                    now.nanoseconds)
            }
        }
        if handshakeIsDone, !isEstablished, code == 0 { establish(at: path.remote, now) }
        if sawAuthentic, isEstablished {
            lastAuthentic = now
            if isProbing { setKeepAlive(QUICRules.keepAlive, probing: false) }
        }
        if code != 0 { end(readFailed: code, now) }
    }

    private func establish(at endpoint: Endpoint?, _ now: Instant) {
        guard let violation = session?.violation() else {
            guard let peer, let endpoint else { return close(.violation("no certificate"), code: 1, now) }
            isEstablished = true
            lastAuthentic = now
            setKeepAlive(QUICRules.keepAlive, probing: false)
            // Bytes of a stream may have come in the same datagram, before we looked.
            events.insert(.established(id, peer: peer, at: endpoint, dialed: isDialed), at: 0)
            return
        }
        events.removeAll()
        close(.violation(violation), code: 1, now)
    }

    func advance(to now: Instant) {
        guard isOpen, let connection = unsafe connection else { return }
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

    private func setKeepAlive(_ time: UInt64, probing: Bool) {
        guard let connection = unsafe connection else { return }
        unsafe ngtcp2_conn_set_keep_alive_timeout(connection, time)
        isProbing = probing
    }

    func masterKeys() -> MasterKeys? {
        guard isOpen, isEstablished else { return nil }
        return session?.masterKeys()
    }

    // MARK: The end

    private func end(readFailed code: Int32, _ now: Instant) {
        guard let connection = unsafe connection else { return }
        switch code {
        case NGTCP2_ERR_DRAINING:
            if sawReset { return end(.reset, now) }
            var error = unsafe ngtcp2_connection_close_error()
            unsafe ngtcp2_conn_get_connection_close_error(connection, &error)
            let why: SessionEnd =
                switch unsafe error.error_code {
                case _ where unsafe error.type == NGTCP2_CONNECTION_CLOSE_ERROR_CODE_TYPE_APPLICATION:
                    unsafe .closedByPeer(code: error.error_code)
                // The TLS alerts that a certificate can cause (RFC 8446, section 6.2).
                case 0x100 + 42...0x100 + 49, 0x100 + 116: .refused("it doesn't accept this end's key")
                case 0x100...0x1FF: .refused(unsafe "TLS alert \(error.error_code - 0x100)")
                default: unsafe .closedByPeer(code: error.error_code)
                }
            end(why, now)
        case NGTCP2_ERR_DROP_CONN, NGTCP2_ERR_RETRY:
            end(.violation(Self.text(code)), now)
        default:
            let alert = unsafe ngtcp2_conn_get_tls_alert(connection)
            var error = unsafe ngtcp2_connection_close_error()
            if code == NGTCP2_ERR_CRYPTO {
                unsafe ngtcp2_connection_close_error_set_transport_error_tls_alert(
                    &error, alert == 0 ? 80 : alert, nil, 0)
            } else {
                unsafe ngtcp2_connection_close_error_set_transport_error_liberr(&error, code, nil, 0)
            }
            let hasBadKey = refusedKey || (code == NGTCP2_ERR_CRYPTO && peer == nil && handshakeHasCertificate)
            let why: SessionEnd =
                hasBadKey
                ? .wrongKey : .violation(alert == 0 ? Self.text(code) : "\(Self.text(code)), TLS alert \(alert)")
            unsafe end(why, now, farewell: farewell(&error, now))
        }
    }

    /// Whether the handshake got to where the other end must have shown a certificate (RFC 8446, section 6.2:
    /// certificate_required).
    private var handshakeHasCertificate: Bool {
        guard let connection = unsafe connection else { return false }
        return unsafe ngtcp2_conn_get_tls_alert(connection) == 116
    }

    /// Closes with an application's code.
    func close(_ why: SessionEnd, code: UInt64, _ now: Instant) {
        guard isOpen else { return }
        var error = unsafe ngtcp2_connection_close_error()
        unsafe ngtcp2_connection_close_error_set_application_error(&error, code, nil, 0)
        unsafe end(why, now, farewell: farewell(&error, now))
    }

    private func farewell(_ error: inout ngtcp2_connection_close_error, _ now: Instant) -> [UInt8] {
        guard let connection = unsafe connection else { return [] }
        let path = NetworkPath()
        var packet = [UInt8](repeating: 0, count: QUICRules.datagramByteCount)
        let count = unsafe packet.withUnsafeMutableBufferPointer { packet in
            unsafe ngtcp2_conn_write_connection_close_versioned(
                connection, path.pointer, NGTCP2_PKT_INFO_VERSION_V1, nil, packet.baseAddress, packet.count, &error,
                now.nanoseconds)
        }
        guard count > 0 else { return [] }
        farewellTarget = path.remote
        return Array(packet.prefix(count))
    }

    /// Where the last packet goes.
    private(set) var farewellTarget: Endpoint?
    var farewellIsDue = false
    private var farewellsLeft = 4

    private func end(_ why: SessionEnd, _ now: Instant, farewell: [UInt8] = []) {
        guard isOpen else { return }
        state = .over(
            farewell: farewell,
            until: Instant(nanoseconds: now.nanoseconds &+ QUICRules.closingTime))
        farewellIsDue = !farewell.isEmpty
        outgoing.removeAll()
        unsent.removeAll()
        events.append(.ended(id, peer: peer, why))
    }

    static func text(_ code: Int32) -> String {
        // Safe: the text is a constant of ngtcp2's.
        unsafe ngtcp2_strerror(code).map { unsafe String(cString: $0) } ?? "error \(code)"
    }

    /// Runs `body` with ngtcp2's connection, if it is still open.
    @unsafe
    func withConnection<Result>(_ body: (OpaquePointer) -> Result?) -> Result? {
        guard isOpen, let connection = unsafe connection else { return nil }
        return unsafe body(connection)
    }

    func fail(writing code: Int32, _ now: Instant) {
        end(readFailed: code, now)
    }
}

/// Which connection reads a datagram in this thread: ngtcp2's decryption callback isn't told.
enum ReadingConnection {
    private static let key: pthread_key_t = {
        var key = pthread_key_t()
        unsafe pthread_key_create(&key, nil)
        return key
    }()

    static func during<Result>(_ connection: QUICConnection, _ body: () -> Result) -> Result {
        unsafe pthread_setspecific(key, Unmanaged.passUnretained(connection).toOpaque())
        defer { pthread_setspecific(key, nil) }
        return body()
    }

    /// A packet was decrypted, and its tag was right.
    static func noteAuthentic() {
        guard let pointer = unsafe pthread_getspecific(key) else { return }
        // Safe: it is set only while the connection is being used.
        unsafe Unmanaged<QUICConnection>.fromOpaque(pointer).takeUnretainedValue().sawAuthentic = true
    }
}
