// SPDX-License-Identifier: Apache-2.0

/// The public half of an identity: what a peer is pinned by.
public struct PublicKey: Hashable, Sendable, CustomStringConvertible {
    /// SubjectPublicKeyInfo DER (RFC 5480), always ``byteCount`` bytes.
    public let subjectPublicKeyInfo: [UInt8]

    /// Bytes in the SubjectPublicKeyInfo of an uncompressed P-256 point.
    public static let byteCount = 91

    /// All that stands before the point's coordinates. DER is unique, so that comparing it replaces parsing it.
    private static let prefix: [UInt8] = [
        0x30, 0x59, 0x30, 0x13,  // both sequences
        0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01,  // id-ecPublicKey
        0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07,  // prime256v1
        0x03, 0x42, 0x00, 0x04,  // bit string, uncompressed point
    ]

    /// Takes a SubjectPublicKeyInfo, which may come from a peer's certificate and hold anything.
    ///
    /// Throws ``IdentityError/notP256`` unless it is an uncompressed point on P-256.
    public init(subjectPublicKeyInfo: [UInt8]) throws(IdentityError) {
        guard subjectPublicKeyInfo.count == Self.byteCount, subjectPublicKeyInfo.starts(with: Self.prefix),
            EVPKey.isPublicKey(subjectPublicKeyInfo.span)
        else { throw .notP256 }
        self.subjectPublicKeyInfo = subjectPublicKeyInfo
    }

    /// Parses the text that ``description`` writes; white space around it is allowed.
    ///
    /// Throws ``IdentityError/notBase64`` or ``IdentityError/notP256``.
    public init(_ text: String) throws(IdentityError) {
        guard let bytes = Base64.decode(text) else { throw .notBase64 }
        try self.init(subjectPublicKeyInfo: bytes)
    }

    public func hash(into hasher: inout Hasher) {
        // An array hashes byte by byte. Safe: the bytes are read within the call.
        unsafe subjectPublicKeyInfo.withUnsafeBytes { unsafe hasher.combine(bytes: $0) }
    }

    /// The SubjectPublicKeyInfo in base64 (RFC 4648, section 4): 124 characters.
    public var description: String { Base64.encode(subjectPublicKeyInfo) }

    /// The SubjectPublicKeyInfo's SHA-256 in base64 without padding: 43 characters.
    public var fingerprint: String {
        String(Base64.encode(EVPKey.sha256(subjectPublicKeyInfo.span)).prefix { $0 != "=" })
    }

    /// The subject's common name in the identity's self-signed certificate.
    public var certificateCommonName: String { "icx:" + fingerprint }
}
