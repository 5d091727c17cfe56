// SPDX-License-Identifier: Apache-2.0
import Weft

/// The two 256-bit keys that a session derives every SA's key from.
public struct MasterKeys: ~Copyable, Sendable {
    /// The fewest bytes that a root secret may have. A session exports exactly this many.
    public static let minimumRootSecretByteCount = 32
    static let keyByteCount = 32
    private static let info = Array("icx psp master keys v1".utf8)

    let first: SecretBytes
    let second: SecretBytes

    /// Derives both keys from a session's root secret with HKDF-SHA-256 (RFC 5869), no salt.
    ///
    /// Throws ``KeyDerivationError/rootSecretTooShort(_:)`` below ``minimumRootSecretByteCount`` bytes. The root secret
    /// isn't needed any more afterwards.
    public init(rootSecret: borrowing SecretBytes) throws(KeyDerivationError) {
        guard rootSecret.count >= Self.minimumRootSecretByteCount else {
            throw .rootSecretTooShort(rootSecret.count)
        }
        let both = try KeyDerivation.hkdf(
            secret: rootSecret.span, info: Self.info.span, count: 2 * Self.keyByteCount)
        first = SecretBytes(copying: both.span.extracting(first: Self.keyByteCount))
        second = SecretBytes(copying: both.span.extracting(last: Self.keyByteCount))
    }

    /// The master keys of a session, whose root secret is spent by that.
    static func taken(from transport: any SessionTransport, of session: SessionID) -> MasterKeys? {
        guard let root = transport.takeRootSecret(of: session) else { return nil }
        return try? MasterKeys(rootSecret: root)
    }

    /// The key of the SA with this SPI; 16 or 32 bytes, as the suite wants.
    public func saKey(for spi: SPI, suite: Suite) throws(KeyDerivationError) -> SecretBytes {
        switch spi.masterKeyIndex {
        case .first: try KeyDerivation.saKey(masterKey: first, spi: spi.rawValue, suite: suite)
        case .second: try KeyDerivation.saKey(masterKey: second, spi: spi.rawValue, suite: suite)
        }
    }
}
