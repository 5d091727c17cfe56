// SPDX-License-Identifier: Apache-2.0
import CWeftQUIC
import Weft
import WeftControl

/// Address validation (RFC 9000, section 8.1.2): nothing is kept for a source that hasn't shown that it gets our answers.
extension QUICEndpoint {
    /// How long a token is good.
    private static let tokenLifetime: UInt64 = 10_000_000_000

    /// Answers a first packet without a token.
    func retry(_ header: ngtcp2_pkt_hd, _ source: AddressPair, _ now: Instant) {
        guard mayCall(source.remote, now) else { return }
        var header = unsafe header
        var own = ConnectionID(tags.makeID()).native
        var token = [UInt8](repeating: 0, count: 256)
        let path = NetworkPath(to: source.remote)
        // Safe: ngtcp2 writes at most what a token needs, which is far below 256 bytes.
        let count = unsafe ngtcp2_crypto_generate_retry_token(
            &token, retrySecret, retrySecret.count, header.version, path.pointer.pointee.remote.addr,
            path.pointer.pointee.remote.addrlen, &own, &header.dcid, now.nanoseconds)
        guard count > 0 else { return }
        counters.retries += 1
        unsafe answer(to: source) { packet in
            unsafe ngtcp2_crypto_write_retry(
                packet.baseAddress, packet.count, header.version, &header.scid, &own, &header.dcid, token, count)
        }
    }

    /// The id that the client first called, if the token is one of ours for this source.
    func verify(_ token: [UInt8], _ header: ngtcp2_pkt_hd, _ source: Endpoint, _ now: Instant) -> ConnectionID? {
        var header = unsafe header
        var original = ngtcp2_cid()
        let path = NetworkPath(to: source)
        let code = unsafe ngtcp2_crypto_verify_retry_token(
            &original, token, token.count, retrySecret, retrySecret.count, header.version,
            path.pointer.pointee.remote.addr, path.pointer.pointee.remote.addrlen, &header.dcid, Self.tokenLifetime,
            now.nanoseconds)
        return code == 0 ? ConnectionID(original) : nil
    }
}
