// SPDX-License-Identifier: Apache-2.0

/// TCP's and UDP's headers, as far as cutting and coalescing look at them (RFC 9293 section 3.1, RFC 768).
enum TransportHeader {
    static let udpLength = 8
    static let tcpMinimum = 20
    static let tcpChecksumOffset = 16
    static let udpChecksumOffset = 6

    enum TCPFlag {
        static let fin: UInt8 = 0x01
        static let syn: UInt8 = 0x02
        static let rst: UInt8 = 0x04
        static let psh: UInt8 = 0x08
        static let ack: UInt8 = 0x10
        static let urg: UInt8 = 0x20
        static let cwr: UInt8 = 0x80
    }

    /// Where a packet's transport header begins, and its protocol. Nil for a fragment, whose transport header isn't
    /// whole or isn't there, and for extension headers other than hop-by-hop, routing and destination options.
    @inline(__always)
    static func locate(in packet: RawSpan, _ family: IPAddress.Family) -> (offset: Int, proto: UInt8)? {
        switch family {
        case .v4:
            guard packet.load(at: 6, as: UInt16.self) & 0x3FFF == 0 else { return nil }
            return (Int(packet.load(at: 0, as: UInt8.self) & 0x0F) * 4, packet.load(at: 9))
        case .v6:
            let next: UInt8 = packet.load(at: 6)
            if next == IPProtocol.tcp || next == IPProtocol.udp { return (InnerPacket.v6HeaderLength, next) }
            return walkExtensions(of: packet, from: next)
        }
    }

    private static func walkExtensions(of packet: RawSpan, from first: UInt8) -> (offset: Int, proto: UInt8)? {
        var next = first
        var offset = InnerPacket.v6HeaderLength
        while next == 0 || next == 43 || next == 60 {
            guard offset + 8 <= packet.byteCount else { return nil }
            let length = (Int(packet.load(at: offset + 1, as: UInt8.self)) + 1) * 8
            next = packet.load(at: offset)
            offset += length
        }
        return offset <= packet.byteCount ? (offset, next) : nil
    }
}
