// SPDX-License-Identifier: Apache-2.0
@testable import WeftControl

/// Key files and public keys: what is taken is written again, and that is taken for the same.
enum KeyFiles {
    static func run(_ input: RawSpan) {
        let bytes = input.array()
        if let identity = try? Identity(pem: bytes.span) {
            let text = identity.pem()
            guard let again = try? Identity(pem: text.span) else { fail("its own text isn't taken") }
            check(again.publicKey == identity.publicKey, "another public key")
            check(again.privateKey.isEqual(to: identity.privateKey), "another private key")
        }
        let text = String(decoding: bytes, as: UTF8.self)
        if let key = try? PublicKey(text) {
            check(text.contains(key.description), "another form")
        }
        if let key = try? PublicKey(subjectPublicKeyInfo: bytes) {
            check(key.subjectPublicKeyInfo == bytes, "another form")
            check((try? PublicKey(key.description)) == key, "its own text isn't taken")
        }
    }

    static func seeds() throws -> [[UInt8]] {
        let identity = try Identity.generate()
        let pem = identity.pem()
        let text = pem.span.indices.map { pem.span[$0] }
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n"
        return [
            text, Array("# Comment\n".utf8) + text + text, Array(encrypted.utf8) + text,
            Array(identity.publicKey.description.utf8), identity.publicKey.subjectPublicKeyInfo,
            identity.privateKey.span.indices.map { identity.privateKey.span[$0] },
            // A key on another curve: P-384's parameters in the same form.
            Array("-----BEGIN PRIVATE KEY-----\nMBACAQAwEAYHKoZIzj0CAQYFK4EEACIE\n-----END PRIVATE KEY-----\n".utf8),
        ]
    }
}
