// SPDX-License-Identifier: Apache-2.0

extension Segment {
    /// Flows whose order a packet is part of.
    enum Flows {
        case none
        /// The one with this hash.
        case one(Int)
        /// Which one can't be told: a fragment, or extension headers.
        case any
    }

    /// Mixes what tells a flow. The protocol isn't part of it: a collision costs a superpacket at most.
    @inline(__always)
    static func mix(_ addresses: UInt64, ports: UInt32) -> Int {
        Int(truncatingIfNeeded: ((addresses ^ UInt64(ports)) &* 0x9E37_79B9_7F4A_7C15) >> 40)
    }

    /// The addresses of an IPv6 packet with a whole header, mixed.
    @inline(__always)
    static func v6Addresses(of packet: RawSpan) -> UInt64 {
        packet.load(at: 8, as: UInt64.self) ^ packet.load(at: 16, as: UInt64.self)
            ^ packet.load(at: 24, as: UInt64.self) &* 3 ^ packet.load(at: 32, as: UInt64.self) &* 5
    }

    /// Flows whose later segments must not be joined to what stands before `packet`, which is no segment itself: they
    /// would overtake it.
    static func overtakable(by packet: RawSpan) -> Flows {
        guard let inner = InnerPacket(packet) else { return .none }
        switch inner.family {
        case .v4:
            let proto: UInt8 = packet.load(at: 9)
            guard proto == IPProtocol.tcp || proto == IPProtocol.udp else { return .none }
            let transport = Int(packet.load(at: 0, as: UInt8.self) & 0x0F) * 4
            guard packet.load(at: 6, as: UInt16.self) & 0x3FFF == 0, packet.byteCount >= transport + 4 else {
                return .any
            }
            return .one(mix(packet.load(at: 12), ports: packet.load(at: transport)))
        case .v6:
            switch packet.load(at: 6, as: UInt8.self) {
            case IPProtocol.tcp, IPProtocol.udp:
                guard packet.byteCount >= InnerPacket.v6HeaderLength + 4 else { return .any }
                return .one(mix(v6Addresses(of: packet), ports: packet.load(at: InnerPacket.v6HeaderLength)))
            case IPProtocol.hopByHop, IPProtocol.routing, IPProtocol.fragment, IPProtocol.destinationOptions:
                return .any
            default: return .none
            }
        }
    }

    /// Whether the IPv4 header's checksum and the transport's are right: a superpacket gets new ones, which would hide
    /// that they were wrong.
    @inline(__always)
    func checksumsAreRight(in packet: RawSpan) -> Bool {
        let source = family == .v4 ? packet.v4Address(at: 12) : packet.v6Address(at: 8)
        let destination = family == .v4 ? packet.v4Address(at: 16) : packet.v6Address(at: 24)
        if family == .v4, Checksum.finish(Checksum.sum(packet.extracting(0..<transport))) != 0 { return false }
        let pseudo = Checksum.pseudoHeader(
            source, destination, length: packet.byteCount - transport,
            proto: kind == .tcp ? IPProtocol.tcp : IPProtocol.udp)
        return Checksum.finish(Checksum.sum(packet.extracting(transport..<packet.byteCount), from: pseudo)) == 0
    }
}
