// SPDX-License-Identifier: Apache-2.0

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
