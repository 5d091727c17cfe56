// SPDX-License-Identifier: Apache-2.0

/// A packet that may be part of a superpacket: a TCP segment with payload, or a UDP datagram with a checksum.
///
/// Everything that the kernel's GRO would not join is no segment: IP options, fragments, extension headers, padding, and
/// flags of a connection's beginning or abrupt end.
struct Segment {
    let kind: Offload.Kind
    let family: IPAddress.Family
    /// Where the transport header begins.
    let transport: Int
    /// IP and transport headers together.
    let headerLength: Int
    /// FIN and PSH of a TCP segment, which end a superpacket.
    let flags: UInt8
    /// Mixes addresses and ports.
    let hash: Int

    var checksumOffset: Int {
        kind == .tcp ? TransportHeader.tcpChecksumOffset : TransportHeader.udpChecksumOffset
    }

    /// Whether another segment may be joined behind it.
    var mayBeFollowed: Bool { flags == 0 }

    @inline(__always)
    init?(_ packet: RawSpan) {
        guard packet.byteCount >= 28 else { return nil }
        let proto: UInt8
        let addresses: UInt64
        switch packet.load(at: 0, as: UInt8.self) {
        case 0x45:
            // No reserved bit, no fragment; the length is the packet's.
            guard packet.load(at: 6, as: UInt16.self) & 0xBFFF == 0,
                Int(packet.load(at: 2, as: UInt16.self)) == packet.byteCount
            else { return nil }
            family = .v4
            transport = InnerPacket.v4HeaderLength
            proto = packet.load(at: 9)
            addresses = packet.load(at: 12)
        case 0x60...0x6F:
            guard packet.byteCount >= 48,
                Int(packet.load(at: 4, as: UInt16.self)) == packet.byteCount - InnerPacket.v6HeaderLength
            else { return nil }
            family = .v6
            transport = InnerPacket.v6HeaderLength
            proto = packet.load(at: 6)
            addresses = Self.v6Addresses(of: packet)
        default: return nil
        }
        switch proto {
        case IPProtocol.tcp:
            guard packet.byteCount > transport + TransportHeader.tcpMinimum else { return nil }
            let length = Int(packet.load(at: transport + 12, as: UInt8.self) >> 4) * 4
            let all: UInt8 = packet.load(at: transport + 13)
            // Any flags but ACK, PSH, FIN and ECE, and a segment without payload, stand alone.
            guard length >= TransportHeader.tcpMinimum, packet.byteCount > transport + length,
                all & (0xFF ^ 0x40 ^ TransportHeader.TCPFlag.psh ^ TransportHeader.TCPFlag.fin)
                    == TransportHeader.TCPFlag.ack
            else { return nil }
            kind = .tcp
            headerLength = transport + length
            flags = all & (TransportHeader.TCPFlag.fin | TransportHeader.TCPFlag.psh)
        case IPProtocol.udp:
            guard packet.byteCount > transport + TransportHeader.udpLength,
                Int(packet.load(at: transport + 4, as: UInt16.self)) == packet.byteCount - transport,
                packet.load(at: transport + 6, as: UInt16.self) != 0
            else { return nil }
            kind = .udp
            headerLength = transport + TransportHeader.udpLength
            flags = 0
        default: return nil
        }
        hash = Self.mix(addresses, ports: packet.load(at: transport))
    }

    /// Whether this segment of `packet` goes on where a superpacket that began with the headers `first` ends.
    /// - Parameters:
    ///   - bytes: payload that the superpacket has so far.
    ///   - segments: how many segments it has.
    @inline(__always)
    func follows(_ first: RawSpan, of packet: RawSpan, after bytes: Int, segments: Int) -> Bool {
        switch family {
        case .v4:
            // Version, header length, TOS with ECN; flags; TTL, protocol; addresses; the next identification.
            guard first.load(at: 0, as: UInt16.self) == packet.load(at: 0, as: UInt16.self),
                first.load(at: 6, as: UInt32.self) == packet.load(at: 6, as: UInt32.self),
                first.load(at: 12, as: UInt64.self) == packet.load(at: 12, as: UInt64.self),
                first.load(at: 4, as: UInt16.self) &+ UInt16(truncatingIfNeeded: segments)
                    == packet.load(at: 4, as: UInt16.self)
            else { return false }
        case .v6:
            // Version, traffic class with ECN, flow label; next header, hop limit; addresses.
            guard first.load(at: 0, as: UInt32.self) == packet.load(at: 0, as: UInt32.self),
                first.load(at: 6, as: UInt16.self) == packet.load(at: 6, as: UInt16.self),
                first.load(at: 8, as: UInt64.self) == packet.load(at: 8, as: UInt64.self),
                first.load(at: 16, as: UInt64.self) == packet.load(at: 16, as: UInt64.self),
                first.load(at: 24, as: UInt64.self) == packet.load(at: 24, as: UInt64.self),
                first.load(at: 32, as: UInt64.self) == packet.load(at: 32, as: UInt64.self)
            else { return false }
        }
        // Ports.
        guard first.load(at: transport, as: UInt32.self) == packet.load(at: transport, as: UInt32.self) else {
            return false
        }
        guard kind == .tcp else { return true }
        // The next sequence number; acknowledgement; header length, flags but FIN and PSH, window; options.
        let ignored = UInt32(TransportHeader.TCPFlag.fin | TransportHeader.TCPFlag.psh) << 16
        let difference: UInt32 =
            first.load(at: transport + 12, as: UInt32.self) ^ packet.load(at: transport + 12, as: UInt32.self)
        guard
            first.load(at: transport + 4, as: UInt32.self) &+ UInt32(truncatingIfNeeded: bytes)
                == packet.load(at: transport + 4, as: UInt32.self),
            first.load(at: transport + 8, as: UInt32.self) == packet.load(at: transport + 8, as: UInt32.self),
            difference & ~ignored == 0,
            // The urgent pointer, which means nothing here, but would be altered.
            first.load(at: transport + 18, as: UInt16.self) == packet.load(at: transport + 18, as: UInt16.self)
        else { return false }
        var option = transport + TransportHeader.tcpMinimum
        while option < headerLength {
            guard first.load(at: option, as: UInt32.self) == packet.load(at: option, as: UInt32.self) else {
                return false
            }
            option &+= 4
        }
        return true
    }
}
