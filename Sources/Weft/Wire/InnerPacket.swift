// SPDX-License-Identifier: Apache-2.0

/// What the data plane needs to know of an IP packet: who sends it to whom, in which family.
struct InnerPacket {
    let source: IPAddress
    let destination: IPAddress

    @inline(__always)
    var family: IPAddress.Family { source.family }

    @inline(__always)
    var protocolType: UInt16 { family == .v4 ? Geneve.ProtocolType.ipv4 : Geneve.ProtocolType.ipv6 }

    static let v4HeaderLength = 20
    static let v6HeaderLength = 40

    /// Reads the addresses; nil when no whole header of version 4 or 6 is there.
    @inline(__always)
    init?(_ packet: RawSpan) {
        guard packet.byteCount >= Self.v4HeaderLength else { return nil }
        switch packet.load(at: 0, as: UInt8.self) >> 4 {
        case 4:
            source = packet.v4Address(at: 12)
            destination = packet.v4Address(at: 16)
        case 6:
            guard packet.byteCount >= Self.v6HeaderLength else { return nil }
            source = packet.v6Address(at: 8)
            destination = packet.v6Address(at: 24)
        default:
            return nil
        }
    }

    /// Whether the header's own lengths lie within the packet (RFC 791 section 3.1, RFC 8200 section 3).
    ///
    /// Bytes behind the header's total length are allowed: Ethernet pads, and ICX carries them verbatim.
    @inline(__always)
    func lengthsAreConsistent(in packet: RawSpan) -> Bool {
        switch family {
        case .v4:
            let headerLength = Int(packet.load(at: 0, as: UInt8.self) & 0x0F) * 4
            let totalLength = Int(packet.load(at: 2, as: UInt16.self))
            return headerLength >= Self.v4HeaderLength && headerLength <= totalLength
                && totalLength <= packet.byteCount
        case .v6:
            return Self.v6HeaderLength + Int(packet.load(at: 4, as: UInt16.self)) <= packet.byteCount
        }
    }
}
