// SPDX-License-Identifier: Apache-2.0

/// Why something is no identity.
public enum IdentityError: Error, Hashable, Sendable, CustomStringConvertible {
    /// No unencrypted PKCS#8 block, or one whose key contradicts itself.
    case notPEM
    /// Not the one base64 text of a public key.
    case notBase64
    /// Another kind of key, another curve, or another form of its point.
    case notP256
    case openSSL(OpenSSLError)

    public var description: String {
        switch self {
        case .notPEM:
            "no private key that can be used: give an unencrypted PKCS#8 key in PEM, which begins with -----BEGIN PRIVATE KEY-----"
        case .notBase64:
            "the public key isn't base64: copy the whole key, 124 characters with == at the end"
        case .notP256:
            "the key isn't an ECDSA P-256 key with an uncompressed point: generate a new one"
        case .openSSL(let error):
            error.description
        }
    }
}
