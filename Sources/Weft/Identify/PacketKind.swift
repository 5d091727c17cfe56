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

/// What a packet is wrapped in on its way through the underlay.
public enum Encapsulation: Hashable, Sendable, BitwiseCopyable {
    /// It is the datagram.
    case none
    /// It stands behind a Geneve header without options, of this VNI. Nothing is proven by it.
    case geneve(vni: UInt32)
}

/// Why a datagram was taken for what it was taken for.
public enum IdentificationRule: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    case discoMagic
    case highBit
    case connectionID
    case stunCookie
    case geneveOptions
    case envelopeAgrees
    case envelopeType
    case envelopePayload
    case envelopeContradicts
    case envelopeSilent
    case wireGuardType
    case fixedBit
    case noRule

    /// A clause for people: what was seen.
    public var explanation: String {
        switch self {
        case .discoMagic: "begins with disco's magic, and has room for its key and nonce"
        case .highBit: "bit 0x80 of byte 0 is set, as in QUIC's long headers"
        case .connectionID: "byte 1 is 0x51, as in the connection ids that Weft issues"
        case .stunCookie: "has STUN's magic cookie and its length"
        case .geneveOptions: "Geneve version 0 with six words of options or more"
        case .envelopeAgrees: "a Geneve envelope whose EtherType names what its payload looks like"
        case .envelopeType: "a Geneve envelope whose EtherType names it; the payload looks like nothing known"
        case .envelopePayload: "a Geneve envelope whose payload looks like it; the EtherType names nothing known"
        case .envelopeContradicts:
            "a Geneve envelope whose EtherType names one kind and whose payload looks like the other"
        case .envelopeSilent: "a Geneve envelope of which neither EtherType nor payload is known"
        case .wireGuardType: "has a WireGuard type, three zeros and that type's length"
        case .fixedBit: "bits 01 begin it, as QUIC's short headers"
        case .noRule: "nothing known begins so"
        }
    }
}
