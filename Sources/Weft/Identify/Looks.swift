// SPDX-License-Identifier: Apache-2.0

// What packets of other protocols look like from outside.

/// Disco: a magic, the sender's public key, a nonce, and a sealed message.
enum Disco {
    /// `TS` and a speech balloon in UTF-8.
    static let magic: UInt64 = 0x5453_F09F_92AC
    static let magicLength = 6
    /// Magic, 32 bytes of key, 24 bytes of nonce.
    static let headerLength = magicLength + 32 + 24

    @inline(__always)
    static func isLike(_ packet: RawSpan) -> Bool {
        packet.byteCount >= headerLength && packet.load(at: 0, as: UInt64.self) >> 16 == magic
    }
}

/// STUN's header (RFC 8489 section 5).
public enum STUNHeader {
    /// Type, length, cookie, transaction id.
    public static let length = 20
    public static let cookie: UInt32 = 0x2112_A442

    /// A message fills its datagram, and its attributes whole words. So a WireGuard packet whose receiver index
    /// happens to be the cookie is no STUN.
    @inline(__always)
    static func isLike(_ datagram: RawSpan) -> Bool {
        guard datagram.byteCount >= length else { return false }
        let first: UInt32 = datagram.load(at: 0)
        let attributes = Int(first & 0xFFFF)
        return first >> 30 == 0 && attributes % 4 == 0 && length + attributes == datagram.byteCount
            && datagram.load(at: 4, as: UInt32.self) == cookie
    }
}

/// WireGuard's four messages.
enum WireGuard {
    /// A little-endian type and three reserved zeros stand first.
    @inline(__always)
    static func isLike(_ packet: RawSpan) -> Bool {
        guard packet.byteCount >= 4 else { return false }
        return switch packet.load(at: 0, as: UInt32.self) {
        // Handshake initiation, handshake response, cookie reply.
        case 0x0100_0000: packet.byteCount == 148
        case 0x0200_0000: packet.byteCount == 92
        case 0x0300_0000: packet.byteCount == 64
        // Transport data: a header and a tag at least. A packet as long as the MTU is not padded to 16 bytes.
        case 0x0400_0000: packet.byteCount >= 32
        default: false
        }
    }
}

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
