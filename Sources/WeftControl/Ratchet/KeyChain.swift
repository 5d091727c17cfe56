// SPDX-License-Identifier: Apache-2.0

/// The chain of secrets of one `weft/1` session (docs/weft-1.md): each exchange takes it a step further, and no step can be undone.
///
/// It holds the newest secret alone. No SA's key can be derived from that; what the next exchange adds to it is known only to
/// those who take part.
struct KeyChain: ~Copyable {
    private static let secretByteCount = 32
    private static let beginning = Array("weft/1 chain".utf8)
    private static let next = Array("weft/1 exchange".utf8)

    /// Exchanges that it has gone through.
    let exchanges: UInt32
    let secret: SecretBytes

    /// A session's chain before its first exchange.
    /// - Parameters:
    ///   - rootSecret: TLS's, which isn't needed any more afterwards.
    ///   - presharedKey: nil stands for one of zeros.
    ///   - initiator: the end whose key sorts lower.
    init(
        rootSecret: borrowing SecretBytes, presharedKey: PresharedKey?, initiator: PublicKey, responder: PublicKey
    ) throws(KeyDerivationError) {
        guard rootSecret.count >= MasterKeys.minimumRootSecretByteCount else {
            throw .rootSecretTooShort(rootSecret.count)
        }
        let info = Self.beginning + initiator.subjectPublicKeyInfo + responder.subjectPublicKeyInfo
        self.init(try Self.first(rootSecret, presharedKey, info), after: 0)
    }

    private static func first(
        _ rootSecret: borrowing SecretBytes, _ presharedKey: PresharedKey?, _ info: [UInt8]
    ) throws(KeyDerivationError) -> SecretBytes {
        guard let presharedKey else {
            let none = [UInt8](repeating: 0, count: PresharedKey.byteCount)
            return try KeyDerivation.hkdf(
                secret: rootSecret.span, salt: none.span, info: info.span, count: secretByteCount)
        }
        return try presharedKey.withBytes { salt throws(KeyDerivationError) in
            try KeyDerivation.hkdf(secret: rootSecret.span, salt: salt, info: info.span, count: secretByteCount)
        }
    }

    private init(_ secret: consuming SecretBytes, after exchanges: UInt32) {
        self.secret = secret
        self.exchanges = exchanges
    }

    /// What one exchange leads to.
    struct Step: ~Copyable {
        let chain: KeyChain
        /// For what the initiator receives, and for what the responder does: 16 or 32 bytes, as the suite wants.
        let initiatorReceives: SecretBytes
        let responderReceives: SecretBytes
        /// What each end confirms the exchange with.
        let responderConfirms: SecretBytes
        let initiatorConfirms: SecretBytes
    }

    /// Takes the chain a step further, which ends it as it is.
    /// - Parameters:
    ///   - shared: what both ends' shares led to.
    ///   - transcript: both offers, as they were on the wire.
    consuming func step(
        shared: borrowing SecretBytes, transcript: [UInt8], keyByteCount: Int
    ) throws(KeyDerivationError) -> Step {
        let size = Self.secretByteCount
        let all = try KeyDerivation.hkdf(
            secret: shared.span, salt: secret.span, info: (Self.next + transcript).span, count: 5 * size)
        func part(_ index: Int, _ count: Int = size) -> SecretBytes {
            SecretBytes(copying: all.span.extracting(index * size..<index * size + count))
        }
        return Step(
            chain: KeyChain(part(0), after: exchanges &+ 1),
            initiatorReceives: part(1, keyByteCount), responderReceives: part(2, keyByteCount),
            responderConfirms: part(3), initiatorConfirms: part(4))
    }
}
