// SPDX-License-Identifier: Apache-2.0

/// The Ethernet, IP and UDP headers around a datagram, for drivers that move whole frames.
enum OuterHeaders {
    static let ethernetLength = 14
    static let udpLength = 8
    static let hopLimit: UInt8 = 64

    /// Bytes in front of the datagram: 42 on IPv4, 62 on IPv6.
    @inline(__always)
    static func length(_ family: IPAddress.Family) -> Int {
        ethernetLength + (family == .v4 ? InnerPacket.v4HeaderLength : InnerPacket.v6HeaderLength) + udpLength
    }

    /// The longest datagram whose headers' 16-bit lengths can say how long it is.
    @inline(__always)
    static func largestDatagram(_ family: IPAddress.Family) -> Int {
        0xFFFF - udpLength - (family == .v4 ? InnerPacket.v4HeaderLength : 0)
    }

    /// One end of the underlay as a frame's headers name it.
    struct End {
        let endpoint: Endpoint
        let mac: MACAddress
    }

    /// Writes the headers at `start` for a datagram of `count` bytes that already stands behind them.
    ///
    /// IPv4: no options, identification 0, DF clear, as ICX sends. The UDP checksum is 0 on IPv4 unless asked for and
    /// always computed on IPv6 (RFC 8926 section 3.3, RFC 6935 would allow 0 there but peers may not).
    static func write(
        into frame: inout MutableRawSpan, at start: Int, datagram count: Int, from local: End, to remote: End,
        trafficClass: UInt8 = 0, udpChecksum: Bool
    ) {
        let family = remote.endpoint.address.family
        let ip = start + ethernetLength
        frame.store(remote.mac, at: start)
        frame.store(local.mac, at: start + 6)
        frame.store(family == .v4 ? EtherType.ipv4 : EtherType.ipv6, at: start + 12)
        let udp: Int
        switch family {
        case .v4:
            udp = ip + InnerPacket.v4HeaderLength
            frame.store(0x4500 | UInt16(trafficClass), at: ip)
            frame.store(UInt16(truncatingIfNeeded: InnerPacket.v4HeaderLength + udpLength + count), at: ip + 2)
            frame.store(0 as UInt32, at: ip + 4)
            frame.store(UInt32(hopLimit) << 24 | UInt32(IPProtocol.udp) << 16, at: ip + 8)
            frame.store(local.endpoint.address, at: ip + 12)
            frame.store(remote.endpoint.address, at: ip + 16)
            frame.store(Checksum.finish(Checksum.sum(frame.bytes.extracting(ip..<udp))), at: ip + 10)
        case .v6:
            udp = ip + InnerPacket.v6HeaderLength
            frame.store(0x6000_0000 | UInt32(trafficClass) << 20, at: ip)
            frame.store(UInt16(truncatingIfNeeded: udpLength + count), at: ip + 4)
            frame.store(UInt16(IPProtocol.udp) << 8 | UInt16(hopLimit), at: ip + 6)
            frame.store(local.endpoint.address, at: ip + 8)
            frame.store(remote.endpoint.address, at: ip + 24)
        }
        frame.store(local.endpoint.port, at: udp)
        frame.store(remote.endpoint.port, at: udp + 2)
        frame.store(UInt16(truncatingIfNeeded: udpLength + count), at: udp + 4)
        frame.store(0 as UInt16, at: udp + 6)
        if udpChecksum || family == .v6 {
            let pseudo = Checksum.pseudoHeader(
                local.endpoint.address, remote.endpoint.address, length: udpLength + count, proto: IPProtocol.udp)
            let sum = Checksum.sum(frame.bytes.extracting(udp..<udp + udpLength + count), from: pseudo)
            let checksum = Checksum.finish(sum)
            // 0 means "none" on the wire (RFC 768).
            frame.store(checksum == 0 ? 0xFFFF : checksum, at: udp + 6)
        }
    }

    /// A received frame's headers.
    struct Parsed {
        let source: Endpoint
        let destination: Endpoint
        /// Where the datagram stands in the frame. Bytes behind it are Ethernet padding.
        let datagram: Range<Int>
        let trafficClass: UInt8
    }

    /// Checks and reads a frame's outer headers.
    ///
    /// The UDP length must equal what IP says: of two contradicting lengths neither can be believed. The UDP checksum
    /// isn't verified: the AEAD's tag covers more.
    @inline(__always)
    static func parse(_ frame: RawSpan) throws(DropReason) -> Parsed {
        guard frame.byteCount >= ethernetLength + InnerPacket.v4HeaderLength else { throw .outerMalformed }
        let ip = ethernetLength
        let udp: Int
        let end: Int
        let source: IPAddress
        let destination: IPAddress
        switch frame.load(at: 12, as: UInt16.self) {
        case EtherType.ipv4:
            let versionAndLength = frame.load(at: ip, as: UInt8.self)
            udp = ip + Int(versionAndLength & 0x0F) * 4
            end = ip + Int(frame.load(at: ip + 2, as: UInt16.self))
            guard versionAndLength >> 4 == 4, udp >= ip + InnerPacket.v4HeaderLength, end <= frame.byteCount,
                end - udp >= udpLength, frame.load(at: ip + 9, as: UInt8.self) == IPProtocol.udp
            else { throw .outerMalformed }
            guard Checksum.finish(Checksum.sum(frame.extracting(ip..<udp))) == 0 else { throw .outerChecksum }
            guard frame.load(at: ip + 6, as: UInt16.self) & 0x3FFF == 0 else { throw .outerFragment }
            source = frame.v4Address(at: ip + 12)
            destination = frame.v4Address(at: ip + 16)
        case EtherType.ipv6:
            udp = ip + InnerPacket.v6HeaderLength
            guard frame.byteCount >= udp + udpLength, frame.load(at: ip, as: UInt8.self) >> 4 == 6,
                frame.load(at: ip + 6, as: UInt8.self) == IPProtocol.udp
            else { throw .outerMalformed }
            end = udp + Int(frame.load(at: ip + 4, as: UInt16.self))
            guard end <= frame.byteCount, end - udp >= udpLength else { throw .outerMalformed }
            source = frame.v6Address(at: ip + 8)
            destination = frame.v6Address(at: ip + 24)
        default:
            throw .outerMalformed
        }
        guard Int(frame.load(at: udp + 4, as: UInt16.self)) == end - udp else { throw .outerMalformed }
        return Parsed(
            source: Endpoint(source, port: frame.load(at: udp)),
            destination: Endpoint(destination, port: frame.load(at: udp + 2)),
            datagram: udp + udpLength..<end,
            trafficClass: TrafficClass.of(frame.extracting(ip...), source.family))
    }
}
