// SPDX-License-Identifier: Apache-2.0

/// An end's ECDSA P-256 key pair (FIPS 186-5), by which its peers know it.
public struct Identity: ~Copyable, Sendable {
    /// PKCS#8 DER, unencrypted, with the public key inside (RFC 5958, RFC 5915).
    public let privateKey: SecretBytes
    public let publicKey: PublicKey

    private init(_ key: borrowing EVPKey) throws(IdentityError) {
        let publicKey = try PublicKey(subjectPublicKeyInfo: key.subjectPublicKeyInfo())
        privateKey = try key.pkcs8()
        self.publicKey = publicKey
    }

    /// A new key pair. Throws ``IdentityError/openSSL(_:)`` if libcrypto has no randomness or no P-256.
    public static func generate() throws(IdentityError) -> Identity {
        try Identity(EVPKey.generate())
    }

    /// Reads the first unencrypted PKCS#8 block of a PEM text (RFC 7468, section 10).
    ///
    /// Throws ``IdentityError/notPEM`` or ``IdentityError/notP256``. Wiping the text stays its owner's duty.
    public init(pem: Span<UInt8>) throws(IdentityError) {
        guard let key = EVPKey.parse(pem: pem) else { throw .notPEM }
        try self.init(key)
    }

    /// The private key as PKCS#8 PEM text, lines of 64 characters, with a newline at the end.
    public func pem() -> SecretBytes {
        PEM.encode(privateKey.span)
    }
}

extension Identity {
    /// Bytes of ``secret(for:)``.
    public static let derivedSecretByteCount = 32

    /// A secret that only this identity's owner can derive, and always derives again, for one purpose.
    public func secret(for purpose: String) throws(KeyDerivationError) -> SecretBytes {
        try KeyDerivation.hkdf(
            secret: privateKey.span, info: Array(purpose.utf8).span, count: Self.derivedSecretByteCount)
    }
}
