// SPDX-License-Identifier: Apache-2.0

/// A Geneve header (RFC 8926) that wraps a packet of another protocol: version 0, no options, no flags.
struct Envelope {
    static let length = Geneve.fixedLength

    let etherType: UInt16
    let vni: UInt32

    @inline(__always)
    init?(_ datagram: RawSpan) {
        guard datagram.byteCount >= Self.length else { return nil }
        let header: UInt64 = datagram.load(at: 0)
        // Version, option length and flags, and the reserved last byte.
        guard header & 0xFFFF_0000_0000_00FF == 0 else { return nil }
        etherType = UInt16(truncatingIfNeeded: header >> 32)
        vni = UInt32(truncatingIfNeeded: header >> 8) & 0xFF_FFFF
    }

    /// The kind that the EtherType stands for.
    var names: PacketKind? {
        switch etherType {
        case EtherType.disco: .disco
        case EtherType.wireGuard: .wireGuard
        default: nil
        }
    }
}
