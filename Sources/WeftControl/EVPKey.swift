// SPDX-License-Identifier: Apache-2.0
import CWeftOpenSSL

/// Owns one of libcrypto's keys, which wipes its private part when it's freed.
@safe
struct EVPKey: ~Copyable {
    private let key: OpaquePointer

    /// Takes over the one reference.
    private init(owning key: OpaquePointer) {
        unsafe self.key = key
    }

    deinit { unsafe EVP_PKEY_free(key) }

    /// A new key pair on P-256.
    static func generate() throws(IdentityError) -> EVPKey {
        let context = unsafe EVP_PKEY_CTX_new_id(EVP_PKEY_EC, nil)
        defer { unsafe EVP_PKEY_CTX_free(context) }
        var key: OpaquePointer?
        // Safe: a null context is refused by each call, and the key is ours when the last one succeeds.
        guard
            unsafe EVP_PKEY_keygen_init(context) == 1
                && EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context, NID_X9_62_prime256v1) == 1
                && EVP_PKEY_generate(context, &key) == 1,
            let key = unsafe key
        else { throw .openSSL(OpenSSLError("generate a P-256 key")) }
        return unsafe EVPKey(owning: key)
    }

    /// The key in the first `PRIVATE KEY` block (RFC 7468, section 10) of a text; nil if there's none that can be read,
    /// or if its parts don't belong together.
    static func parse(pem: Span<UInt8>) -> EVPKey? {
        guard !pem.isEmpty else { return nil }
        defer { ERR_clear_error() }
        var der: UnsafeMutablePointer<UInt8>?
        var count = 0
        let found = unsafe pem.withUnsafeBufferPointer { pem in
            // Safe: the BIO reads the span's own bytes and is gone before they are.
            let bio = unsafe BIO_new_mem_buf(pem.baseAddress, Int32(clamping: pem.count))
            defer { unsafe BIO_free(bio) }
            // Without a callback libcrypto would ask the terminal for an encrypted block's passphrase.
            return unsafe PEM_bytes_read_bio_secmem(
                &der, &count, nil, "PRIVATE KEY", bio, { _, _, _, _ in -1 }, nil)
        }
        guard found == 1, let der = unsafe der else { return nil }
        defer { unsafe CRYPTO_secure_clear_free(der, count, nil, 0) }
        // Safe: d2i reads at most `count` bytes and moves only its own copy of the pointer.
        var start: UnsafePointer<UInt8>? = unsafe UnsafePointer(der)
        let info = unsafe d2i_PKCS8_PRIV_KEY_INFO(nil, &start, count)
        defer { unsafe PKCS8_PRIV_KEY_INFO_free(info) }
        guard let info = unsafe info, let raw = unsafe EVP_PKCS82PKEY(info) else { return nil }
        let key = unsafe EVPKey(owning: raw)
        guard key.isConsistent else { return nil }
        return key
    }

    /// Whether the private number is in range, the public point on the curve, and both belong together.
    private var isConsistent: Bool {
        // Safe: the check reads its context without asking whether there is one, so we ask.
        guard let context = unsafe EVP_PKEY_CTX_new(key, nil) else { return false }
        defer { unsafe EVP_PKEY_CTX_free(context) }
        return unsafe EVP_PKEY_check(context) == 1
    }

    /// PKCS#8 DER (RFC 5958), unencrypted.
    func pkcs8() throws(IdentityError) -> SecretBytes {
        let info = unsafe EVP_PKEY2PKCS8(key)
        defer { unsafe PKCS8_PRIV_KEY_INFO_free(info) }
        // Safe: without room to write to, i2d only says how much it needs; a null key needs nothing.
        let count = unsafe Int(i2d_PKCS8_PRIV_KEY_INFO(info, nil))
        guard count > 0 else { throw .openSSL(OpenSSLError("encode a private key")) }
        return try SecretBytes(count: count) { bytes throws(IdentityError) in
            let written = unsafe bytes.withUnsafeMutableBufferPointer { bytes in
                // Safe: it writes the `count` bytes that it asked for.
                var start = bytes.baseAddress
                return unsafe Int(i2d_PKCS8_PRIV_KEY_INFO(info, &start))
            }
            guard written == count else { throw .openSSL(OpenSSLError("encode a private key")) }
        }
    }

    /// SubjectPublicKeyInfo DER.
    func subjectPublicKeyInfo() throws(IdentityError) -> [UInt8] {
        var der: UnsafeMutablePointer<UInt8>?
        // Safe: i2d allocates when it gets no room, and we free what it allocated.
        let count = unsafe Int(i2d_PUBKEY(key, &der))
        guard count > 0, let der = unsafe der else { throw .openSSL(OpenSSLError("encode a public key")) }
        defer { unsafe CRYPTO_free(der, nil, 0) }
        return unsafe Array(UnsafeBufferPointer(start: der, count: count))
    }

    /// Whether a SubjectPublicKeyInfo holds a public key that libcrypto takes.
    ///
    /// It takes a point only if it's on the curve, and at P-256's cofactor of 1 that's the full validation of SP 800-56A,
    /// section 5.6.2.3.4.
    static func isPublicKey(_ subjectPublicKeyInfo: Span<UInt8>) -> Bool {
        defer { ERR_clear_error() }
        let key = unsafe subjectPublicKeyInfo.withUnsafeBufferPointer { der in
            // Safe: d2i reads at most `count` bytes and moves only its own copy of the pointer.
            var start = der.baseAddress
            return unsafe d2i_PUBKEY(nil, &start, der.count)
        }
        unsafe EVP_PKEY_free(key)
        return unsafe key != nil
    }

    static func sha256(_ bytes: Span<UInt8>) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        unsafe bytes.withUnsafeBufferPointer { bytes in
            unsafe digest.withUnsafeMutableBufferPointer { digest in
                // Safe: SHA-256 writes 32 bytes.
                _ = unsafe SHA256(bytes.baseAddress, bytes.count, digest.baseAddress)
            }
        }
        return digest
    }
}
