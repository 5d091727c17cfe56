// SPDX-License-Identifier: Apache-2.0
@testable import Weft

/// A packet that may begin a TCP connection: the first two bytes are the MTU, the rest the packet.
enum SegmentSizes {
    static func run(_ input: RawSpan) {
        let mtu = Int(input.control(0)) << 8 | Int(input.control(1))
        let packet = input.array(from: 2)
        guard let inner = unsafe InnerPacket(packet.span.bytes),
            unsafe inner.lengthsAreConsistent(in: packet.span.bytes)
        else { return }
        var lowered = packet
        lowered.withMutableBytes { MaximumSegmentSize.lower(in: &$0, inner.family, mtu: mtu) }
        guard lowered != packet else { return }
        // Options begin behind an IP and a TCP header; a checksum's words before and after add up to the same.
        let start = inner.family == .v4 ? Int(packet[0] & 15) * 4 : InnerPacket.v6HeaderLength
        check(lowered[..<start] == packet[..<start], "the IP header changed")
        check(
            (lowered.sum(start..<packet.count) + 0xFFFF - packet.sum(start..<packet.count)) % 0xFFFF == 0, "another sum"
        )
        var again = lowered
        again.withMutableBytes { MaximumSegmentSize.lower(in: &$0, inner.family, mtu: mtu) }
        check(again == lowered, "lowered twice")
    }

    static func seeds() -> [[UInt8]] {
        let options: [[UInt8]] = [[2, 4, 5, 180, 1, 3, 3, 7], [1, 2, 4, 5, 180, 4, 2, 1], [2, 4, 255]]
        return options.flatMap { [seed(.v4, $0), seed(.v6, $0)] }
    }

    /// What begins a connection with eight bytes of options.
    private static func seed(_ family: IPAddress.Family, _ options: [UInt8]) -> [UInt8] {
        let transport = family == .v4 ? 20 : 40
        let first = transport + 20
        var packet = Ends.packet(family, count: first + 8, proto: 6)
        packet[transport + 12] = 0x70
        packet[transport + 13] = 2
        for (index, byte) in options.enumerated() { packet[first + index] = byte }
        return [5, 0] + packet
    }
}
