// SPDX-License-Identifier: Apache-2.0

/// Which protocol a datagram from the underlay speaks. Several share one port.
///
/// The case names are the words everywhere: in `weft show`, `--json` and `weft identify`.
public enum PacketKind: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    /// Geneve with sealed packets: the engine's.
    case data
    /// QUIC (RFC 9000): the key agreement's.
    case control
    /// STUN (RFC 8489): which address others see us under.
    case stun
    /// Disco: probes of paths between peers.
    case disco
    case wireGuard
    /// None of these.
    case unknown
}
