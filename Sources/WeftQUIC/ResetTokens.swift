// SPDX-License-Identifier: Apache-2.0
import CWeftQUIC
import Weft
import WeftControl

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
