// SPDX-License-Identifier: Apache-2.0

/// Answers ARP requests (RFC 826) and IPv6 neighbour solicitations (RFC 4861) on the overlay in layer 2 mode.
///
/// Every address that is asked for lies behind the tunnel, so one MAC address answers for all. Who asks about its own
/// address gets no answer: that is duplicate address detection (RFC 5227, RFC 4862) or an announcement.
enum NeighborProxy {
    static let arpReplyLength = 42
    static let advertisementLength = 86

    enum Verdict {
        case arpRequest(Request)
        case solicitation(Request)
        /// A request that must not be answered, or isn't valid.
        case notAnswered
        /// Not a request to a neighbour at all.
        case other
    }

    struct Request {
        let asker: MACAddress
        let askerAddress: IPAddress
        let target: IPAddress
    }

    /// Looks at a whole Ethernet frame of EtherType ARP.
    static func arp(_ frame: RawSpan) -> Verdict {
        // Ethernet, IPv4, address lengths 6 and 4, operation 1: the only request there is.
        guard frame.byteCount >= arpReplyLength, frame.load(at: 14, as: UInt64.self) == 0x0001_0800_0604_0001 else {
            return .other
        }
        let request = Request(
            asker: frame.macAddress(at: 22), askerAddress: frame.v4Address(at: 28), target: frame.v4Address(at: 38))
        guard !request.askerAddress.isUnspecified, request.askerAddress != request.target else { return .notAnswered }
        return .arpRequest(request)
    }

    private static let ipv6 = OuterHeaders.ethernetLength
    private static let icmp = OuterHeaders.ethernetLength + InnerPacket.v6HeaderLength
    private static let solicitationLength = 24

    /// Looks at a whole Ethernet frame of EtherType IPv6. RFC 4861 section 7.1.1 says what a valid solicitation is.
    static func solicitation(_ frame: RawSpan) -> Verdict {
        guard frame.byteCount >= icmp + solicitationLength,
            frame.load(at: ipv6 + 6, as: UInt16.self) == UInt16(IPProtocol.icmpv6) << 8 | 255,
            frame.load(at: icmp, as: UInt16.self) == 135 << 8
        else { return .other }
        let length = Int(frame.load(at: ipv6 + 4, as: UInt16.self))
        guard length >= solicitationLength, icmp + length <= frame.byteCount else { return .other }
        let request = Request(
            asker: frame.macAddress(at: 6), askerAddress: frame.v6Address(at: ipv6 + 8),
            target: frame.v6Address(at: icmp + 8))
        let destination = frame.v6Address(at: ipv6 + 24)
        let pseudo = Checksum.pseudoHeader(
            request.askerAddress, destination, length: length, proto: IPProtocol.icmpv6)
        let sum = Checksum.sum(frame.extracting(icmp..<icmp + length), from: pseudo)
        guard Checksum.finish(sum) == 0, request.target.high >> 56 != 0xFF,
            !request.askerAddress.isUnspecified, request.askerAddress != request.target
        else { return .notAnswered }
        return .solicitation(request)
    }

    /// Writes the ARP reply at `start`: 42 bytes, which must be there.
    static func writeReply(to request: Request, from mac: MACAddress, into frame: inout MutableRawSpan, at start: Int) {
        frame.store(request.asker, at: start)
        frame.store(mac, at: start + 6)
        frame.store(EtherType.arp, at: start + 12)
        frame.store(0x0001_0800_0604_0002 as UInt64, at: start + 14)
        frame.store(mac, at: start + 22)
        frame.store(request.target, at: start + 28)
        frame.store(request.asker, at: start + 32)
        frame.store(request.askerAddress, at: start + 38)
    }

    /// Writes a solicited, overriding neighbour advertisement at `start`: 86 bytes, which must be there.
    static func writeAdvertisement(
        to request: Request, from mac: MACAddress, into frame: inout MutableRawSpan, at start: Int
    ) {
        let ip = start + ipv6
        let icmp = start + Self.icmp
        let length = advertisementLength - Self.icmp
        frame.store(request.asker, at: start)
        frame.store(mac, at: start + 6)
        frame.store(EtherType.ipv6, at: start + 12)
        frame.store(0x6000_0000 as UInt32, at: ip)
        frame.store(UInt16(length), at: ip + 4)
        frame.store(UInt16(IPProtocol.icmpv6) << 8 | 255, at: ip + 6)
        frame.store(request.target, at: ip + 8)
        frame.store(request.askerAddress, at: ip + 24)
        frame.store(0x8800_0000_6000_0000 as UInt64, at: icmp)
        frame.store(request.target, at: icmp + 8)
        frame.store(0x0201 as UInt16, at: icmp + 24)
        frame.store(mac, at: icmp + 26)
        let pseudo = Checksum.pseudoHeader(
            request.target, request.askerAddress, length: length, proto: IPProtocol.icmpv6)
        let sum = Checksum.sum(frame.bytes.extracting(icmp..<icmp + length), from: pseudo)
        frame.store(Checksum.finish(sum), at: icmp + 2)
    }
}
