// SPDX-License-Identifier: Apache-2.0
import Weft

/// What the tags of an identity's connection ids come from. It says nothing of the identity's key, and whoever has it can
/// do no more than make ids that we don't drop unread.
public struct TagSeed: Hashable, Sendable {
    private let secret: Secret
    private let call: TagKey

    /// One for all copies, which is wiped with the last of them.
    private final class Secret: Sendable {
        let bytes: SecretBytes
        init(_ bytes: consuming SecretBytes) { self.bytes = bytes }
    }

    public init(_ identity: borrowing Identity) throws(KeyDerivationError) {
        secret = Secret(try identity.secret(for: "weft connection ids v1"))
        call = try TagKey(callsTo: identity.publicKey)
    }

    /// The tags of one endpoint.
    public func tags(at place: EndpointPlace) throws(KeyDerivationError) -> ConnectionTags {
        ConnectionTags(own: try TagKey(of: secret.bytes, info: place.bytes), call: call)
    }

    public static func == (one: TagSeed, other: TagSeed) -> Bool { one.secret.bytes.isEqual(to: other.secret.bytes) }

    public func hash(into hasher: inout Hasher) { hasher.combine(call) }
}

extension TagKey {
    /// What the first id of a call is tagged with: whoever knows the called end's public key can make it.
    public init(callsTo key: PublicKey) throws(KeyDerivationError) {
        try self.init(from: key.subjectPublicKeyInfo.span, info: Array("weft/1 call".utf8))
    }

    fileprivate init(of secret: borrowing SecretBytes, info: [UInt8]) throws(KeyDerivationError) {
        try self.init(from: secret.span, info: info)
    }

    private init(from secret: Span<UInt8>, info: [UInt8]) throws(KeyDerivationError) {
        let derived = try KeyDerivation.hkdf(secret: secret, info: info.span, count: Self.byteCount)
        guard let key = TagKey(derived.span) else { throw .wrongKeyLength(derived.count) }
        self = key
    }
}

extension Identity {
    /// What the stateless reset tokens of one endpoint come from: the same after a restart, another at each endpoint.
    public func resetSecret(at place: EndpointPlace) throws(KeyDerivationError) -> SecretBytes {
        try KeyDerivation.hkdf(
            secret: privateKey.span, info: (Array("weft stateless reset v2".utf8) + place.bytes).span,
            count: Self.derivedSecretByteCount)
    }
}
