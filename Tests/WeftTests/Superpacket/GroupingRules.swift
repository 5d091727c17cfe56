// SPDX-License-Identifier: Apache-2.0
@testable import Weft

/// What the kernel's GRO asks of a packet before it joins it to what it holds, written down rule by rule from
/// inet_gro_receive, ipv6_gro_receive, tcp_gro_receive, udp_gro_receive_segment and skb_gro_receive, as Linux 6.18 has
/// them. Two rules are stricter: identifications must count, since a superpacket that is written can't say that they stay
/// the same, and so must an urgent pointer that no flag makes valid, since it would be altered.
enum GroupingRules {
    /// Why a packet can't be in a superpacket at all; nil when it can.
    static func unfit(_ bytes: [UInt8]) -> String? {
        guard let packet = NaivePacket(bytes) else { return "no packet" }
        guard !packet.isFragment else { return "fragment" }
        guard !packet.hasOptions else { return "options" }
        guard packet.totalLength == bytes.count else { return "padding" }
        if packet.isV4, bytes[6] & 0x80 != 0 { return "reserved bit" }
        guard packet.isTCP || packet.isUDP else { return "protocol" }
        guard packet.transportLength != nil else { return "transport header" }
        guard !packet.payload.isEmpty else { return "no payload" }
        if packet.isUDP {
            guard Int(bytes.word(packet.transport + 4, as: UInt16.self)) == bytes.count - packet.transport else {
                return "UDP length"
            }
            guard bytes.word(packet.transport + 6, as: UInt16.self) != 0 else { return "no UDP checksum" }
        } else {
            // CWR, URG, RST and SYN flush; so would a segment without ACK, which only begins a connection.
            guard packet.flags & 0b1010_0110 == 0 else { return "flags" }
        }
        guard packet.checksumsAreRight else { return "checksum" }
        return nil
    }

    /// Why `next` can't be joined behind `group`, whose packets may be joined; nil when it can.
    static func refusal(_ next: [UInt8], behind group: [[UInt8]]) -> String? {
        for packet in group + [next] {
            if let reason = unfit(packet) { return reason }
        }
        guard let first = group.first, let last = group.last, let a = NaivePacket(first), let z = NaivePacket(last),
            let b = NaivePacket(next)
        else { return "no packet" }
        guard a.isV4 == b.isV4, a.proto == b.proto else { return "protocol" }
        let addresses = a.isV4 ? 12..<20 : 8..<40
        guard first[addresses] == next[addresses] else { return "addresses" }
        if a.isV4 {
            guard first[1] == next[1] else { return "TOS and ECN" }
            guard first[6] == next[6], first[7] == next[7] else { return "DF" }
            guard first[8] == next[8] else { return "TTL" }
            let identification: UInt16 = first.word(4)
            guard next.word(4) == identification &+ UInt16(group.count) else { return "identification" }
        } else {
            guard first[0..<4] == next[0..<4] else { return "traffic class and flow label" }
            guard first[7] == next[7] else { return "hop limit" }
        }
        let t = a.transport
        guard first[t..<t + 4] == next[t..<t + 4] else { return "ports" }
        let size = a.payload.count
        guard b.payload.count <= size else { return "larger than the first" }
        guard z.payload.count == size else { return "behind a shorter one" }
        let payloads = group.reduce(0) { $0 + (NaivePacket($1)?.payload.count ?? 0) }
        guard a.headerLength + payloads + b.payload.count <= 65_535 else { return "too long" }
        guard group.count < 64 else { return "too many" }
        guard a.isTCP else { return nil }
        guard a.headerLength == b.headerLength else { return "TCP header length" }
        guard z.flags & 0b1001 == 0 else { return "behind FIN or PSH" }
        guard (a.flags ^ b.flags) & 0b1111_0110 == 0, first[t + 12] == next[t + 12] else { return "flags" }
        guard first[t + 8..<t + 12] == next[t + 8..<t + 12] else { return "acknowledgement" }
        guard first[t + 18..<t + 20] == next[t + 18..<t + 20] else { return "urgent pointer" }
        guard first[t + 14..<t + 16] == next[t + 14..<t + 16] else { return "window" }
        guard first[t + 20..<a.headerLength] == next[t + 20..<b.headerLength] else { return "TCP options" }
        guard b.sequence == a.sequence &+ UInt32(payloads) else { return "sequence" }
        return nil
    }
}
