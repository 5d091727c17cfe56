// SPDX-License-Identifier: Apache-2.0
import CWeftQUIC
import WeftControl

/// An identity's self-signed certificate and private key, as GnuTLS wants them, and the rules that all sessions share.
@safe
final class Credentials {
    private let credentials: gnutls_certificate_credentials_t
    private let priorities: gnutls_priority_t

    /// 2000-01-01 and 9999-12-31, 23:59:59: a peer is known by its key, and time has no say in it.
    private static let validity = (from: 946_684_800, to: 253_402_300_799)

    init(_ identity: borrowing Identity) throws(QUICError) {
        let key = try unsafe Self.privateKey(identity)
        defer { unsafe gnutls_x509_privkey_deinit(key) }
        let certificate = try unsafe Self.certificate(of: identity.publicKey, signedBy: key)
        defer { unsafe gnutls_x509_crt_deinit(certificate) }
        var made: gnutls_certificate_credentials_t?
        try check("allocate credentials") { unsafe gnutls_certificate_allocate_credentials(&made) }
        guard let made = unsafe made else { throw QUICError("allocate credentials", GNUTLS_E_MEMORY_ERROR) }
        unsafe credentials = unsafe made
        var rules: gnutls_priority_t?
        do throws(QUICError) {
            try check("parse the TLS priorities") { unsafe gnutls_priority_init(&rules, TLSRules.priorities, nil) }
            guard let rules = unsafe rules else { throw QUICError("parse the TLS priorities", GNUTLS_E_MEMORY_ERROR) }
            unsafe priorities = unsafe rules
        } catch {
            unsafe gnutls_certificate_free_credentials(made)
            throw error
        }
        // Safe: GnuTLS copies the certificate and the key.
        var list: gnutls_x509_crt_t? = unsafe certificate
        try check("use the identity") { unsafe gnutls_certificate_set_x509_key(made, &list, 1, key) }
    }

    deinit {
        unsafe gnutls_priority_deinit(priorities)
        unsafe gnutls_certificate_free_credentials(credentials)
    }

    /// Lets a session use them; they must outlive it.
    func use(in session: gnutls_session_t) throws(QUICError) {
        try check("set the TLS priorities") { unsafe gnutls_priority_set(session, priorities) }
        try check("use the certificate") {
            unsafe gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, UnsafeMutableRawPointer(credentials))
        }
    }

    @unsafe
    private static func privateKey(_ identity: borrowing Identity) throws(QUICError) -> gnutls_x509_privkey_t {
        var made: gnutls_x509_privkey_t?
        try check("allocate a key") { unsafe gnutls_x509_privkey_init(&made) }
        guard let key = unsafe made else { throw QUICError("allocate a key", GNUTLS_E_MEMORY_ERROR) }
        let code = unsafe identity.privateKey.span.withUnsafeBufferPointer { bytes in
            // Safe: the datum is only read, during the call.
            var datum = unsafe gnutls_datum_t(
                data: UnsafeMutablePointer(mutating: bytes.baseAddress), size: UInt32(bytes.count))
            return unsafe gnutls_x509_privkey_import_pkcs8(
                key, &datum, GNUTLS_X509_FMT_DER, nil, GNUTLS_PKCS_PLAIN.rawValue)
        }
        guard code == 0 else {
            unsafe gnutls_x509_privkey_deinit(key)
            throw QUICError("read the private key", code)
        }
        return unsafe key
    }

    @unsafe
    private static func certificate(
        of publicKey: PublicKey, signedBy key: gnutls_x509_privkey_t
    ) throws(QUICError) -> gnutls_x509_crt_t {
        var made: gnutls_x509_crt_t?
        try check("allocate a certificate") { unsafe gnutls_x509_crt_init(&made) }
        guard let certificate = unsafe made else { throw QUICError("allocate a certificate", GNUTLS_E_MEMORY_ERROR) }
        do {
            let name = Array(publicKey.certificateCommonName.utf8)
            var serial: [UInt8] = [1]
            try check("name a certificate's version") { unsafe gnutls_x509_crt_set_version(certificate, 3) }
            try check("name a certificate's serial") {
                unsafe gnutls_x509_crt_set_serial(certificate, &serial, serial.count)
            }
            try check("date a certificate") {
                unsafe gnutls_x509_crt_set_activation_time(certificate, validity.from)
            }
            try check("date a certificate") {
                unsafe gnutls_x509_crt_set_expiration_time(certificate, validity.to)
            }
            try check("name a certificate's subject") {
                unsafe gnutls_x509_crt_set_dn_by_oid(
                    certificate, GNUTLS_OID_X520_COMMON_NAME, 0, name, UInt32(name.count))
            }
            try check("put the key into a certificate") { unsafe gnutls_x509_crt_set_key(certificate, key) }
            try check("sign a certificate") {
                unsafe gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA256, 0)
            }
        } catch {
            unsafe gnutls_x509_crt_deinit(certificate)
            throw error
        }
        return unsafe certificate
    }
}

/// Calls GnuTLS and throws what it refuses.
func check(_ operation: String, _ call: () -> Int32) throws(QUICError) {
    let code = call()
    guard code >= 0 else { throw QUICError(operation, code) }
}
