// SPDX-License-Identifier: Apache-2.0
@testable import Weft

/// An IP packet as the RFCs describe it, byte by byte: what cutting and coalescing are compared with. It shares nothing
/// with the code under test.
struct NaivePacket {
    let bytes: [UInt8]
    let isV4: Bool
    /// TCP's or UDP's number, or another's.
    let proto: UInt8
    /// Where the transport header begins.
    let transport: Int
    /// Whether it is an IPv4 or IPv6 fragment.
    let isFragment: Bool
    /// Whether there are IPv4 options or IPv6 extension headers.
    let hasOptions: Bool
    /// What the IP header says the packet's length is.
    let totalLength: Int
    /// The address that the transport checksum is made with: a routing header's last one while it isn't reached
    /// (RFC 8200 section 8.1).
    private let finalDestination: [UInt8]

    /// Nil when it isn't an IP packet whose headers are whole.
    init?(_ bytes: [UInt8]) {
        self.bytes = bytes
        guard let first = bytes.first else { return nil }
        switch first >> 4 {
        case 4:
            transport = Int(first & 15) * 4
            guard transport >= 20, bytes.count >= transport else { return nil }
            isV4 = true
            proto = bytes[9]
            isFragment = bytes[6] & 0x3F != 0 || bytes[7] != 0
            hasOptions = transport > 20
            totalLength = bytes.word(2, as: UInt16.self).asInt
            finalDestination = Array(bytes[16..<20])
        case 6:
            guard bytes.count >= 40 else { return nil }
            isV4 = false
            totalLength = 40 + bytes.word(4, as: UInt16.self).asInt
            var next = bytes[6]
            var offset = 40
            var fragment = false
            var destination = Array(bytes[24..<40])
            while [0, 43, 44, 60].contains(next) {
                guard offset + 8 <= bytes.count else { return nil }
                let length = next == 44 ? 8 : (Int(bytes[offset + 1]) + 1) * 8
                guard offset + length <= bytes.count else { return nil }
                if next == 44 { fragment = true }
                // Segments left: the list's last address is the destination in the end.
                if next == 43, bytes[offset + 3] > 0, length >= 24 {
                    destination = Array(bytes[offset + length - 16..<offset + length])
                }
                next = bytes[offset]
                offset += length
            }
            proto = next
            transport = offset
            isFragment = fragment
            hasOptions = offset > 40
            finalDestination = destination
        default: return nil
        }
    }

    var isTCP: Bool { proto == 6 }
    var isUDP: Bool { proto == 17 }

    /// The TCP header's length, or UDP's; nil when the header isn't whole.
    var transportLength: Int? {
        if isUDP { return bytes.count >= transport + 8 ? 8 : nil }
        guard isTCP, bytes.count >= transport + 20 else { return nil }
        let length = Int(bytes[transport + 12] >> 4) * 4
        return length >= 20 && bytes.count >= transport + length ? length : nil
    }

    var headerLength: Int { transport + (transportLength ?? 0) }
    var payload: ArraySlice<UInt8> { bytes[headerLength...] }
    var flags: UInt8 { bytes[transport + 13] }
    var sequence: UInt32 { bytes.word(transport + 4) }
    /// Where the transport checksum stands.
    var checksumField: Int { transport + (isTCP ? 16 : 6) }

    /// The pseudo-header's sum for a transport part of so many bytes, not complemented.
    func pseudoSum(length: Int) -> UInt16 {
        let source = isV4 ? Array(bytes[12..<16]) : Array(bytes[8..<24])
        return Reference.sum(Reference.pseudoHeader(source, finalDestination, length: length, proto: proto))
    }

    /// Whether the IPv4 header's checksum and the transport's are right.
    var checksumsAreRight: Bool {
        if isV4, Reference.sum(bytes[..<transport]) != 0xFFFF { return false }
        let length = bytes.count - transport
        let pseudo = Packets.big(pseudoSum(length: length))
        return Reference.sum(pseudo + bytes[transport...]) == 0xFFFF
    }
}

extension UInt16 {
    var asInt: Int { Int(self) }
}

/// Makes checksums by adding one byte after the other (RFC 1071).
enum NaiveChecksums {
    /// The packet with a right IPv4 header checksum.
    static func withHeaderChecksum(_ packet: [UInt8]) -> [UInt8] {
        guard packet[0] >> 4 == 4 else { return packet }
        let length = Int(packet[0] & 15) * 4
        let cleared = packet.replaced(10..<12, with: [0, 0])
        return cleared.replaced(10..<12, with: Packets.big(~Reference.sum(cleared[..<length])))
    }

    /// The packet with both checksums right.
    static func complete(_ packet: [UInt8]) -> [UInt8] {
        guard let parsed = NaivePacket(packet), parsed.transportLength != nil else { return packet }
        let field = parsed.checksumField
        let cleared = packet.replaced(field..<field + 2, with: [0, 0])
        let pseudo = Packets.big(parsed.pseudoSum(length: packet.count - parsed.transport))
        var checksum = ~Reference.sum(pseudo + cleared[parsed.transport...])
        // RFC 768: 0 means that there is none.
        if parsed.isUDP, checksum == 0 { checksum = 0xFFFF }
        return withHeaderChecksum(cleared.replaced(field..<field + 2, with: Packets.big(checksum)))
    }

    /// The packet with a right IPv4 header checksum, and the pseudo-header's sum in the transport's field: how the
    /// kernel leaves what is to be finished.
    static func partial(_ packet: [UInt8]) -> [UInt8] {
        guard let parsed = NaivePacket(packet), parsed.transportLength != nil else { return packet }
        let field = parsed.checksumField
        let sum = parsed.pseudoSum(length: packet.count - parsed.transport)
        return withHeaderChecksum(packet.replaced(field..<field + 2, with: Packets.big(sum)))
    }
}

/// Cuts a superpacket by copying: headers, then a part of the payload, for each segment.
enum NaiveCutter {
    static func cut(_ superpacket: [UInt8], segmentSize: Int) -> [[UInt8]] {
        guard let packet = NaivePacket(superpacket), packet.transportLength != nil else { return [] }
        let header = Array(superpacket[..<packet.headerLength])
        let payload = Array(packet.payload)
        let starts = Array(stride(from: 0, to: payload.count, by: segmentSize))
        return starts.enumerated().map { index, start in
            var segment = header + payload[start..<min(start + segmentSize, payload.count)]
            let transport = packet.transport
            if packet.isV4 {
                segment.replaceSubrange(2..<4, with: Packets.big(UInt16(segment.count)))
                let identification: UInt16 = header.word(4)
                segment.replaceSubrange(4..<6, with: Packets.big(identification &+ UInt16(index)))
            } else {
                segment.replaceSubrange(4..<6, with: Packets.big(UInt16(segment.count - 40)))
            }
            if packet.isTCP {
                let next = packet.sequence &+ UInt32(start)
                segment.replaceSubrange(transport + 4..<transport + 8, with: Packets.big(next))
                var flags = packet.flags
                // RFC 3168: the window was reduced once. FIN and PSH speak of the last byte.
                if index != 0 { flags &= 0x7F }
                if index != starts.count - 1 { flags &= 0xF6 }
                segment[transport + 13] = flags
            } else {
                segment.replaceSubrange(
                    transport + 4..<transport + 6, with: Packets.big(UInt16(segment.count - transport)))
            }
            return NaiveChecksums.complete(segment)
        }
    }
}
