// SPDX-License-Identifier: Apache-2.0
import CWeftQUIC
import WeftControl

/// Owns a GnuTLS session that speaks by our rules.
@safe
struct TLSSession: ~Copyable {
    let handle: gnutls_session_t

    private init(dialing: Bool) throws(QUICError) {
        var made: gnutls_session_t?
        let side: gnutls_init_flags_t = dialing ? GNUTLS_CLIENT : GNUTLS_SERVER
        let flags = side.rawValue | GNUTLS_NO_TICKETS.rawValue | GNUTLS_NO_AUTO_SEND_TICKET.rawValue
        try check("begin a TLS session") { unsafe gnutls_init(&made, flags) }
        guard let made = unsafe made else { throw QUICError("begin a TLS session", GNUTLS_E_MEMORY_ERROR) }
        unsafe handle = unsafe made
    }

    /// - Parameters:
    ///   - speaksWeft: whether `weft/1` is offered, or taken.
    ///   - reference: what GnuTLS hands back to the callbacks; must outlive the session.
    static func make(
        dialing: Bool, speaksWeft: Bool, _ credentials: Credentials,
        reference: UnsafeMutablePointer<ngtcp2_crypto_conn_ref>
    ) throws(QUICError) -> TLSSession {
        let session = try TLSSession(dialing: dialing)
        let made = unsafe session.handle
        try unsafe credentials.use(in: made)
        try check("prepare TLS for QUIC") {
            unsafe dialing
                ? ngtcp2_crypto_gnutls_configure_client_session(made)
                : ngtcp2_crypto_gnutls_configure_server_session(made)
        }
        unsafe gnutls_session_set_ptr(made, reference)
        unsafe gnutls_session_set_verify_function(made, verifyPeer)
        unsafe gnutls_handshake_set_hook_function(
            made, TLSRules.anyHandshakeMessage, GNUTLS_HOOK_PRE, refuseResumption)
        var icx = TLSRules.icxProtocol
        var weft = TLSRules.weftProtocol
        try check("set the ALPN") {
            unsafe icx.withUnsafeMutableBufferPointer { icx in
                unsafe weft.withUnsafeMutableBufferPointer { weft in
                    // Safe: GnuTLS copies the names.
                    var names = unsafe (speaksWeft ? [weft, icx] : [icx]).map { name in
                        unsafe gnutls_datum_t(data: name.baseAddress, size: UInt32(name.count))
                    }
                    return unsafe gnutls_alpn_set_protocols(
                        made, &names, UInt32(names.count), TLSRules.protocolFlags)
                }
            }
        }
        if dialing {
            let server = Array(TLSRules.serverName.utf8)
            try check("set the server's name") {
                unsafe gnutls_server_name_set(made, GNUTLS_NAME_DNS, server, server.count)
            }
        } else {
            unsafe gnutls_certificate_server_set_request(made, GNUTLS_CERT_REQUIRE)
        }
        return session
    }

    deinit { unsafe gnutls_deinit(handle) }

    /// What is wrong with a finished handshake; nil if it is what we wanted, whatever the library was told.
    func violation() -> String? {
        guard unsafe gnutls_protocol_get_version(handle) == GNUTLS_TLS1_3 else { return "TLS isn't 1.3" }
        guard unsafe gnutls_session_is_resumed(handle) == 0 else { return "the session was resumed" }
        let flags = unsafe gnutls_session_get_flags(handle)
        let unwanted = GNUTLS_SFLAGS_SESSION_TICKET.rawValue | GNUTLS_SFLAGS_EARLY_DATA.rawValue
        guard flags & unwanted == 0 else { return "a ticket or early data came" }
        let group = unsafe gnutls_group_get(handle)
        guard group == GNUTLS_GROUP_SECP256R1 || group == GNUTLS_GROUP_SECP384R1 else {
            return "the key exchange isn't on P-256 or P-384"
        }
        let cipher = unsafe gnutls_cipher_get(handle)
        guard cipher == GNUTLS_CIPHER_AES_128_GCM || cipher == GNUTLS_CIPHER_AES_256_GCM else {
            return "the cipher isn't AES-GCM"
        }
        guard selected == TLSRules.icxProtocol || selected == TLSRules.weftProtocol else {
            return "the protocol isn't ours"
        }
        return nil
    }

    /// Whether `weft/1` was agreed on.
    var speaksWeft: Bool { selected == TLSRules.weftProtocol }

    private var selected: [UInt8] {
        var name = unsafe gnutls_datum_t()
        guard unsafe gnutls_alpn_get_selected_protocol(handle, &name) == 0, let start = unsafe name.data else {
            return []
        }
        // Safe: GnuTLS keeps the name as long as the session.
        return unsafe Array(UnsafeBufferPointer(start: start, count: Int(name.size)))
    }

    /// The secret that both ends derive from the handshake (RFC 8446, section 7.5), for the master keys.
    func rootSecret() -> SecretBytes? {
        struct Refused: Error {}
        let label = TLSRules.exporterLabel
        let context = TLSRules.exporterContext
        return try? SecretBytes(count: MasterKeys.minimumRootSecretByteCount) { bytes throws(Refused) in
            let code = unsafe label.withUnsafeBytes { label in
                unsafe context.withUnsafeBytes { context in
                    unsafe bytes.withUnsafeMutableBytes { bytes in
                        // Safe: each pointer goes with its own count; GnuTLS writes just as many bytes as it's told.
                        unsafe gnutls_prf_rfc5705(
                            handle, label.count, label.baseAddress?.assumingMemoryBound(to: CChar.self), context.count,
                            context.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count,
                            bytes.baseAddress?.assumingMemoryBound(to: CChar.self))
                    }
                }
            }
            guard code == 0 else { throw Refused() }
        }
    }
}

/// Fails the handshake unless the peer's certificate has a key that the connection wants. That the peer owns the key is
/// GnuTLS's to check: its signature comes right behind.
private let verifyPeer: @convention(c) (gnutls_session_t?) -> Int32 = { session in
    guard let session = unsafe session, let connection = unsafe QUICConnection.of(session),
        let key = unsafe presentedKey(session)
    else { return GNUTLS_E_CERTIFICATE_ERROR }
    return connection.accepts(key) ? 0 : GNUTLS_E_CERTIFICATE_ERROR
}

/// The public key of the certificate that the peer sent; nil for none or one of another kind.
private func presentedKey(_ session: gnutls_session_t) -> PublicKey? {
    var count: UInt32 = 0
    guard let chain = unsafe gnutls_certificate_get_peers(session, &count), count > 0 else { return nil }
    var certificate: gnutls_x509_crt_t?
    guard unsafe gnutls_x509_crt_init(&certificate) == 0 else { return nil }
    defer { unsafe gnutls_x509_crt_deinit(certificate) }
    guard unsafe gnutls_x509_crt_import(certificate, chain, GNUTLS_X509_FMT_DER) == 0 else { return nil }
    var key: gnutls_pubkey_t?
    guard unsafe gnutls_pubkey_init(&key) == 0 else { return nil }
    defer { unsafe gnutls_pubkey_deinit(key) }
    guard unsafe gnutls_pubkey_import_x509(key, certificate, 0) == 0 else { return nil }
    var der = [UInt8](repeating: 0, count: 256)
    var size = der.count
    // Safe: GnuTLS writes at most `size` bytes and says how many.
    guard unsafe gnutls_pubkey_export(key, GNUTLS_X509_FMT_DER, &der, &size) == 0, size <= der.count else { return nil }
    return try? PublicKey(subjectPublicKeyInfo: Array(der.prefix(size)))
}

/// Fails the handshake when the other end offers a ticket, or data before the handshake, or gives out a ticket.
private let refuseResumption:

    @convention(c) (
        gnutls_session_t?, UInt32, UInt32, UInt32, UnsafePointer<gnutls_datum_t>?
    ) -> Int32 = { session, type, _, incoming, message in
        guard incoming != 0 else { return 0 }
        if type == GNUTLS_HANDSHAKE_NEW_SESSION_TICKET.rawValue { return GNUTLS_E_UNEXPECTED_HANDSHAKE_PACKET }
        guard type == GNUTLS_HANDSHAKE_CLIENT_HELLO.rawValue, let message = unsafe message else { return 0 }
        if let session = unsafe session { unsafe QUICConnection.of(session)?.sawClientHello = true }
        let code = unsafe gnutls_ext_raw_parse(
            nil,
            { _, extensionType, _, _ in
                TLSRules.resumptionExtensions.contains(extensionType) ? GNUTLS_E_ILLEGAL_PARAMETER : 0
            }, message, UInt32(GNUTLS_EXT_RAW_FLAG_TLS_CLIENT_HELLO))
        return code < 0 ? GNUTLS_E_ILLEGAL_PARAMETER : 0
    }
