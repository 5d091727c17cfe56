// SPDX-License-Identifier: Apache-2.0
import Weft

/// A UDP datagram that was found in a captured frame.
public struct UDPDatagram: Hashable, Sendable {
    public let source: Endpoint
    public let destination: Endpoint
    public let payload: [UInt8]

    /// What a frame holds.
    public enum Result: Hashable, Sendable {
        case datagram(UDPDatagram)
        /// UDP that the capture holds only a part of, so that nothing can be said of it: cut off, or a fragment.
        case partial
        /// Anything else.
        case other
    }

    private enum Number {
        static let ipv4: UInt16 = 0x0800
        static let ipv6: UInt16 = 0x86DD
        static let vlan: Set<UInt16> = [0x8100, 0x88A8]
        static let udp: UInt8 = 17
        static let fragment: UInt8 = 44
        /// IPv6 extension headers of one layout: hop-by-hop, routing, destination options.
        static let extensions: Set<UInt8> = [0, 43, 60]
        static let headerLength = 8
    }

    static func find(in frame: [UInt8], _ link: LinkType, isWhole: Bool) -> Result {
        switch link {
        case .raw, .rawOfSystem, .ipv4, .ipv6: return inPacket(frame[...], isWhole)
        case .null, .loop: return inPacket(frame.dropFirst(4), isWhole)
        case .ethernet: return behindType(frame, at: 12, isWhole)
        case .linuxCooked: return behindType(frame, at: 14, isWhole)
        case .linuxCooked2:
            guard let type = frame[...].half(at: 0), [Number.ipv4, Number.ipv6].contains(type) else { return .other }
            return inPacket(frame.dropFirst(20), isWhole)
        }
    }

    /// An EtherType, perhaps behind VLAN tags.
    private static func behindType(_ frame: [UInt8], at offset: Int, _ isWhole: Bool) -> Result {
        var offset = offset
        while let type = frame[...].half(at: offset) {
            offset += 2
            if Number.vlan.contains(type) {
                offset += 2
            } else if type == Number.ipv4 || type == Number.ipv6 {
                return inPacket(frame.dropFirst(offset), isWhole)
            } else {
                return .other
            }
        }
        return .other
    }

    private static func inPacket(_ packet: ArraySlice<UInt8>, _ isWhole: Bool) -> Result {
        switch (packet.first ?? 0) >> 4 {
        case 4: inIPv4(packet, isWhole)
        case 6: inIPv6(packet, isWhole)
        default: .other
        }
    }

    private static func inIPv4(_ packet: ArraySlice<UInt8>, _ isWhole: Bool) -> Result {
        guard packet.count >= 20, packet.byte(at: 9) == Number.udp, let first = packet.byte(at: 0),
            let flags = packet.half(at: 6), let source = packet.word(at: 12), let destination = packet.word(at: 16)
        else { return .other }
        let length = Int(first & 15) * 4
        guard length >= 20 else { return .other }
        guard flags & 0x3FFF == 0 else { return .partial }
        return inUDP(packet.dropFirst(length), IPAddress(v4: source), IPAddress(v4: destination), isWhole)
    }

    private static func inIPv6(_ packet: ArraySlice<UInt8>, _ isWhole: Bool) -> Result {
        guard packet.count >= 40, var next = packet.byte(at: 6), let source = packet.v6Address(at: 8),
            let destination = packet.v6Address(at: 24)
        else { return .other }
        var rest = packet.dropFirst(40)
        while Number.extensions.contains(next) {
            guard let following = rest.byte(at: 0), let words = rest.byte(at: 1) else { return .other }
            next = following
            rest = rest.dropFirst(Int(words) * 8 + 8)
        }
        if next == Number.fragment { return rest.byte(at: 0) == Number.udp ? .partial : .other }
        return next == Number.udp ? inUDP(rest, source, destination, isWhole) : .other
    }

    private static func inUDP(
        _ segment: ArraySlice<UInt8>, _ source: IPAddress, _ destination: IPAddress, _ isWhole: Bool
    ) -> Result {
        guard let sourcePort = segment.half(at: 0), let destinationPort = segment.half(at: 2),
            let length = segment.half(at: 4)
        else { return isWhole ? .other : .partial }
        guard length >= Number.headerLength else { return .other }
        guard segment.count >= Int(length) else { return .partial }
        return .datagram(
            UDPDatagram(
                source: Endpoint(source, port: sourcePort), destination: Endpoint(destination, port: destinationPort),
                payload: Array(segment.prefix(Int(length)).dropFirst(Number.headerLength))))
    }
}

extension ArraySlice<UInt8> {
    /// The byte at an offset from the slice's start.
    fileprivate func byte(at offset: Int) -> UInt8? { offset < count ? self[startIndex + offset] : nil }

    /// 16 bits in network order.
    fileprivate func half(at offset: Int) -> UInt16? {
        guard let high = byte(at: offset), let low = byte(at: offset + 1) else { return nil }
        return UInt16(high) << 8 | UInt16(low)
    }

    /// 32 bits in network order.
    fileprivate func word(at offset: Int) -> UInt32? {
        guard let high = half(at: offset), let low = half(at: offset + 2) else { return nil }
        return UInt32(high) << 16 | UInt32(low)
    }

    fileprivate func v6Address(at offset: Int) -> IPAddress? {
        guard let first = word(at: offset), let second = word(at: offset + 4), let third = word(at: offset + 8),
            let fourth = word(at: offset + 12)
        else { return nil }
        return IPAddress(v6: UInt64(first) << 32 | UInt64(second), UInt64(third) << 32 | UInt64(fourth))
    }
}
