// SPDX-License-Identifier: Apache-2.0
import CWeftQUIC
import Weft
import WeftControl

/// A QUIC connection id (RFC 9000, section 5.1).
///
/// Those that we give out begin with one byte, so that a datagram on a shared port is told for QUIC's even when its
/// sender clears the fixed bit (RFC 9287), and end with a tag, by which the data process knows them.
struct ConnectionID: Hashable {
    static let firstByte = Identification.connectionIDPrefix
    /// Bytes in an id of ours.
    static let byteCount = ConnectionTags.idByteCount

    let bytes: [UInt8]

    init(_ bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }

    init(_ id: ngtcp2_cid) {
        bytes = unsafe withUnsafeBytes(of: id.data) { unsafe Array($0.prefix(id.datalen)) }
    }

    /// Whether it is one that we gave out.
    func isOurs(by tags: ConnectionTags) -> Bool { unsafe tags.isOwn(bytes.span.bytes) }

    /// Whether it is one by which a caller shows that it knows our public key.
    func isCall(by tags: ConnectionTags) -> Bool { unsafe tags.isCall(bytes.span.bytes) }

    /// ngtcp2's form. Longer ids than QUIC allows are cut.
    var native: ngtcp2_cid {
        var id = ngtcp2_cid()
        id.datalen = min(bytes.count, Int(NGTCP2_MAX_CIDLEN))
        unsafe withUnsafeMutableBytes(of: &id.data) { unsafe $0.copyBytes(from: bytes.prefix(id.datalen)) }
        return id
    }
}

/// Stateless reset tokens (RFC 9000, section 10.3), derived from the identity and the endpoint's place: an end that was
/// restarted knows the tokens that it gave out before, and another endpoint of the identity has others.
final class ResetTokens {
    static let byteCount = Int(NGTCP2_STATELESS_RESET_TOKENLEN)
    private let secret: SecretBytes

    init(_ identity: borrowing Identity, at place: EndpointPlace) throws(KeyDerivationError) {
        secret = try identity.resetSecret(at: place)
    }

    /// The token for a connection id of ours; written to `token`, which has room for ``byteCount`` bytes.
    @unsafe
    func write(for id: UnsafePointer<ngtcp2_cid>, to token: UnsafeMutablePointer<UInt8>) -> Bool {
        unsafe Self.write(secret, id, token)
    }

    @unsafe
    private static func write(
        _ secret: borrowing SecretBytes, _ id: UnsafePointer<ngtcp2_cid>, _ token: UnsafeMutablePointer<UInt8>
    ) -> Bool {
        unsafe secret.span.withUnsafeBufferPointer { secret in
            unsafe ngtcp2_crypto_generate_stateless_reset_token(token, secret.baseAddress, secret.count, id) == 0
        }
    }
}
