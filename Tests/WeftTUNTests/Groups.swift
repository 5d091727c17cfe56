// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Weft
@testable import WeftTUN

/// Two groups as a lane leaves them: a superpacket of three segments, and a packet.
struct Groups: ~Copyable {
    private let packets: ToOverlay
    private let arena: PacketArena

    init() throws {
        var packets = ToOverlay()
        var arena = PacketArena(capacity: 4096)
        var coalescer = Coalescer()
        let whole = Samples.tcpHeaders(payload: 230) + Samples.payload(230)
        var segments: [[UInt8]] = []
        var cutter = SuperpacketCutter()
        #expect(unsafe cutter.append(whole.span.bytes))
        let isCut = cutter.cut(Samples.offload) { segment in
            segments.append((0..<segment.byteCount).map { segment.load(at: $0) })
        }
        #expect(isCut && segments.count == 3)
        // Another flow's: its identification tells it apart.
        var other = Samples.tcpHeaders(payload: 10).replacing([3, 232], with: [3, 233])
        other[5] = 9
        other.replaceSubrange(10..<12, with: [0, 0])
        other.replaceSubrange(10..<12, with: Samples.big(~Samples.sum(Array(other[..<20]))))
        other += Samples.payload(10)
        let pseudo = Array(other[12..<20]) + [0, 6] + Samples.big(30)
        other.replaceSubrange(36..<38, with: [0, 0])
        other.replaceSubrange(36..<38, with: Samples.big(~Samples.sum(pseudo + other[20...])))
        segments.append(other)
        var offset = 0
        for segment in segments {
            var bytes = arena.mutableBytes
            unsafe bytes.copy(segment.span.bytes, to: offset)
            packets.packets.append(
                .init(place: PacketRange(offset: offset, count: segment.count), network: .vni(1), next: nil))
            coalescer.add(packets.packets.count - 1, of: &packets, in: arena.bytes)
            offset += segment.count + 5
        }
        var bytes = arena.mutableBytes
        coalescer.finish(packets, in: &bytes)
        let count = packets.groups.count
        try #require(count == 2)
        self.packets = packets
        self.arena = arena
    }

    func send(to writer: TUNWriter, failed: (Int, Int, SendFailure) -> Void) {
        writer.send(packets, in: arena, failed: failed)
    }
}
