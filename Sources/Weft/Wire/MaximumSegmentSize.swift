// SPDX-License-Identifier: Apache-2.0

/// The TCP option by which each end of a connection says how long the segments are that it takes (RFC 9293 section 3.7.1).
///
/// Ends behind the tunnel say what their own links take. Lowered to what goes through the tunnel whole, nobody has to find that out by
/// losing packets, or by ICMP that somebody between may drop.
enum MaximumSegmentSize {
    private enum OptionKind {
        static let end: UInt8 = 0
        static let noOperation: UInt8 = 1
        static let maximumSegmentSize: UInt8 = 2
    }

    private static let optionLength = 4

    /// Whether a packet begins a connection, so that it may have the option. False for what isn't TCP, or too short to be.
    /// - Parameter packet: whose IP header was checked.
    @inline(__always)
    static func mayBeSaid(in packet: RawSpan, _ family: IPAddress.Family) -> Bool {
        // Nearly all packets are done with here, and the others have flags in the same place.
        switch packet.load(at: family == .v4 ? 9 : 6, as: UInt8.self) {
        case IPProtocol.tcp, IPProtocol.hopByHop, IPProtocol.routing, IPProtocol.destinationOptions: break
        default: return false
        }
        guard let (transport, proto) = TransportHeader.locate(in: packet, family), proto == IPProtocol.tcp,
            packet.byteCount >= transport + TransportHeader.tcpMinimum
        else { return false }
        return packet.load(at: transport + 13, as: UInt8.self) & TransportHeader.TCPFlag.syn != 0
    }

    /// Lowers what a packet says to what packets of `mtu` bytes hold; never raises it, and adds no option.
    ///
    /// Options behind one that is malformed stay as they are. A checksum that was wrong stays wrong.
    /// - Parameters:
    ///   - packet: whose IP header was checked; with its checksum.
    ///   - mtu: bytes of the longest inner packet that goes whole.
    static func lower(in packet: inout MutableRawSpan, _ family: IPAddress.Family, mtu: Int) {
        guard let (transport, proto) = TransportHeader.locate(in: packet.bytes, family), proto == IPProtocol.tcp,
            packet.byteCount >= transport + TransportHeader.tcpMinimum
        else { return }
        let end = transport + Int(packet.bytes.load(at: transport + 12, as: UInt8.self) >> 4) * 4
        guard end <= packet.byteCount, let most = most(of: mtu, family) else { return }
        var option = transport + TransportHeader.tcpMinimum
        while option < end {
            let kind: UInt8 = packet.bytes.load(at: option)
            if kind == OptionKind.end { return }
            if kind == OptionKind.noOperation {
                option += 1
                continue
            }
            guard option + 2 <= end else { return }
            let length = Int(packet.bytes.load(at: option + 1, as: UInt8.self))
            guard length >= 2, option + length <= end else { return }
            if kind == OptionKind.maximumSegmentSize, length == optionLength {
                lower(at: option + 2, to: most, in: &packet, transport)
            }
            option += length
        }
    }

    /// Payload that fits a packet with headers and no options; nil where that is nothing.
    private static func most(of mtu: Int, _ family: IPAddress.Family) -> UInt16? {
        let headers =
            (family == .v4 ? InnerPacket.v4HeaderLength : InnerPacket.v6HeaderLength) + TransportHeader.tcpMinimum
        return mtu > headers ? UInt16(clamping: mtu - headers) : nil
    }

    private static func lower(at offset: Int, to most: UInt16, in packet: inout MutableRawSpan, _ transport: Int) {
        let said: UInt16 = packet.bytes.load(at: offset)
        guard said > most else { return }
        packet.store(most, at: offset)
        // Across two words of the sum its bytes have changed places (RFC 1071 section 2B).
        let isOdd = (offset - transport) % 2 != 0
        let field = transport + TransportHeader.tcpChecksumOffset
        let checksum = Checksum.updated(
            packet.bytes.load(at: field), from: isOdd ? said.byteSwapped : said, to: isOdd ? most.byteSwapped : most)
        packet.store(checksum, at: field)
    }
}
