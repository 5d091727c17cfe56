// SPDX-License-Identifier: Apache-2.0
import CWeftQUIC
import WeftControl

/// What every handshake must come to.
enum TLSRules {
    /// ICX's protocol, and that of Weft's first release.
    static let icxProtocol = Array("icx-ctrl/1".utf8)
    /// What Weft's ends prefer (docs/weft-1.md).
    static let weftProtocol = Array("weft/1".utf8)
    /// GNUTLS_ALPN_MANDATORY, and that a server goes by its own order.
    static let protocolFlags = GNUTLS_ALPN_MANDATORY.rawValue | GNUTLS_ALPN_SERVER_PRECEDENCE.rawValue
    /// GNUTLS_HANDSHAKE_ANY, a macro that Swift can't import.
    static let anyHandshakeMessage = UInt32.max
    static let serverName = "icx"
    /// TLS 1.3 alone, AES-GCM, ECDSA on P-256 for signatures and P-256 or P-384 for the key exchange.
    static let priorities =
        "NONE:+VERS-TLS1.3:+AES-128-GCM:+AES-256-GCM:+AEAD:+SHA256:+SHA384:+COMP-NULL:+CTYPE-X509"
        + ":+GROUP-SECP256R1:+GROUP-SECP384R1:+SIGN-ECDSA-SECP256R1-SHA256:%DISABLE_TLS13_COMPAT_MODE"
    static let exporterLabel = Array("EXPORTER-icx-master-v1".utf8)
    static let exporterContext = Array("icx control plane master seed v1".utf8)

    /// Bytes in AES-GCM's tag.
    static let tagByteCount = 16

    /// The alert of that name (RFC 8446, section 6.2).
    static let unexpectedMessage: UInt8 = 10

    /// `pre_shared_key` (RFC 8446, section 4.2.11) and `early_data` (section 4.2.10).
    static let resumptionExtensions: Set<UInt32> = [41, 42]
}
