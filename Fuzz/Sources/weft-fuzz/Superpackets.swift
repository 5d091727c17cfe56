// SPDX-License-Identifier: Apache-2.0
@testable import Weft

/// A packet with an offload header that somebody made up: the first nine bytes are the header, the rest the packet.
final class Cut {
    private let ends: Ends
    private var fromOverlay = FromOverlay(capacity: 1, room: 0)
    private var toUnderlay = ToUnderlay()

    init() throws { ends = try Ends(layer2: false, outer: .v4) }

    func run(_ input: RawSpan) {
        var packet = input.array(from: 9)
        if input.control(8) & 1 != 0 { Ends.route(&packet, input.control(8) & 2 == 0 ? .v4 : .v6) }
        guard !packet.isEmpty else { return }
        let offload = Offload(
            kind: Offload.Kind(rawValue: input.control(0) % 3) ?? .none,
            segmentSize: UInt16(input.control(1)) << 8 | UInt16(input.control(2)),
            needsChecksum: input.control(3) & 1 != 0,
            checksumStart: UInt16(input.control(4)) << 8 | UInt16(input.control(5)),
            checksumOffset: UInt16(input.control(6)) << 8 | UInt16(input.control(7)))
        ends.reset()
        fromOverlay.removeAll()
        toUnderlay.removeAll()
        fromOverlay.append { (space: inout MutableRawSpan) in
            unsafe space.copy(packet.span.bytes, to: 0)
            return (count: packet.count, offload: offload)
        }
        let before = ends.left.totals()
        ends.leftLane.encapsulate(&fromOverlay, into: &toUnderlay, at: Ends.start)
        let after = ends.left.totals()
        check(after.fromOverlay > before.fromOverlay, "not accounted for")
    }

    static func seeds() -> [[UInt8]] {
        IPAddress.Family.allCases.flatMap { family -> [[UInt8]] in
            let transport: UInt8 = family == .v4 ? 20 : 40
            return [
                [1, 0, 100, 1, 0, transport, 0, 16, 1] + Ends.packet(family, count: 1400, proto: 6),
                [2, 0, 100, 1, 0, transport, 0, 6, 1] + Ends.packet(family, count: 1400, proto: 17),
                [0, 0, 0, 1, 0, transport, 0, 6, 1] + Ends.packet(family, count: 100, proto: 17),
            ]
        }
    }
}

/// Opened packets on their way into groups: each is two bytes of length and as many bytes.
enum Join {
    static func run(_ input: RawSpan) {
        var arena = PacketArena(capacity: 1 << 16)
        var batch = ToOverlay(capacity: 64)
        var coalescer = Coalescer()
        var offset = 0
        var end = 0
        while offset + 2 <= input.byteCount, batch.packets.count < 64 {
            let wanted = Int(input.control(offset)) << 8 | Int(input.control(offset + 1))
            let count = min(wanted % 2048, input.byteCount - offset - 2)
            guard count > 0 else { break }
            let start = offset + 2
            var bytes = arena.mutableBytes
            bytes.copy(input.extracting(start..<start + count), to: end)
            batch.packets.append(
                ToOverlay.Packet(place: PacketRange(offset: end, count: count), network: .vni(1), next: nil))
            coalescer.add(batch.packets.count - 1, of: &batch, in: arena.bytes)
            end += count
            offset = start + count
        }
        var bytes = arena.mutableBytes
        coalescer.finish(batch, in: &bytes)
        let grouped = (0..<batch.groups.count).reduce(0) { $0 + batch.groups[$1].count }
        check(grouped == batch.packets.count, "\(grouped) of \(batch.packets.count) packets in groups")
    }

    static func seeds() -> [[UInt8]] {
        [.v4, .v6].map { (family: IPAddress.Family) in
            (0..<4).flatMap { _ in
                let packet = Ends.packet(family, count: 200, proto: 6)
                return [UInt8(packet.count >> 8), UInt8(packet.count & 255)] + packet
            }
        }
    }
}
