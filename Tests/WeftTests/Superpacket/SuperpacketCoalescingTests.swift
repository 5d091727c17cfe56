// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

@Suite("Superpackets are made as the kernel's GRO makes them")
struct SuperpacketCoalescingTests {
    /// Stands for the flow of packets that are in none.
    private static let strays = -1

    /// A group that came out: the numbers of the packets that went into it, and what it is when it is cut again.
    struct Output {
        var members: [Int]
        var packets: [[UInt8]]
    }

    /// Coalesces packets as a lane does, in one batch, and cuts each group with the naive cutter.
    static func coalesce(_ packets: [[UInt8]], with coalescer: inout Coalescer) -> [Output] {
        var arena = PacketArena(capacity: packets.reduce(64) { $0 + $1.count + 7 })
        var batch = ToOverlay(capacity: packets.count)
        coalescer.reset()
        var end = 3
        for packet in packets {
            var bytes = arena.mutableBytes
            unsafe bytes.copy(packet.span.bytes, to: end)
            batch.packets.append(
                .init(place: PacketRange(offset: end, count: packet.count), network: .vni(1), next: nil))
            end += packet.count + 7
        }
        for index in packets.indices { coalescer.add(index, of: &batch, in: arena.bytes) }
        var bytes = arena.mutableBytes
        coalescer.finish(batch, in: &bytes)
        return (0..<batch.groups.count).map { number in
            let group = batch.groups[number]
            var members: [Int] = []
            var whole: [UInt8] = []
            var next: Int? = group.first
            while let index = next {
                members.append(index)
                whole += arena.bytes.array(batch.packets[index].place.range)
                next = batch.packets[index].next
            }
            #expect(members.count == group.count)
            guard group.count > 1 else { return Output(members: members, packets: [whole]) }
            #expect(whole.count <= 65_535 && whole.count == NaivePacket(whole)?.totalLength)
            #expect(isFinishable(whole, group))
            return Output(
                members: members, packets: NaiveCutter.cut(whole, segmentSize: Int(group.offload.segmentSize)))
        }
    }

    /// Whether a superpacket is what a kernel takes: a right IPv4 header checksum, the pseudo-header's sum in the
    /// transport's field, and an offload that says where that is.
    private static func isFinishable(_ whole: [UInt8], _ group: ToOverlay.Group) -> Bool {
        guard let packet = NaivePacket(whole) else { return false }
        let offload = group.offload
        return whole == NaiveChecksums.partial(whole) && group.headerLength == packet.headerLength
            && offload.needsChecksum && Int(offload.checksumStart) == packet.transport
            && Int(offload.checksumStart + offload.checksumOffset) == packet.checksumField
            && offload.kind == (packet.isTCP ? .tcp : .udp)
    }

    /// What is wrong with the groups of some packets; nil for nothing.
    static func fault(_ outputs: [Output], of packets: [[UInt8]], flows: [Int]) -> String? {
        for output in outputs {
            guard output.packets == output.members.map({ packets[$0] }) else { return "packets differ" }
            for count in output.members.indices.dropFirst() {
                let group = output.members[..<count].map { packets[$0] }
                if let reason = GroupingRules.refusal(packets[output.members[count]], behind: group) {
                    return "joined in spite of: \(reason)"
                }
            }
        }
        let order = outputs.flatMap(\.members)
        guard order.sorted() == Array(packets.indices) else { return "lost or doubled" }
        for flow in Set(flows) where flow != strays {
            let members = order.filter { flows[$0] == flow }
            guard members == members.sorted() else { return "flow \(flow) is out of order" }
        }
        return nil
    }

    @Test("random runs of interleaved flows: the same packets, each flow in order, nothing joined that may not be")
    func reference() {
        var generator = SeededGenerator.fresh()
        var coalescer = Coalescer()
        var joined = 0
        for _ in 0..<Extent.packetRuns {
            let count = Int.random(in: 1...6, using: &generator)
            let oddity = [2, 4, 12, 1000].randomElement(using: &generator) ?? 4
            var flows = (0..<count).map { number in
                RandomFlow(number, size: .random(in: 1...40, using: &generator), oddity: oddity, using: &generator)
            }
            var packets: [[UInt8]] = []
            var numbers: [Int] = []
            let total = Int.random(in: 1...24, using: &generator)
            while packets.count < total {
                let number = Int.random(in: 0..<count, using: &generator)
                for _ in 0..<Int.random(in: 1...4, using: &generator) {
                    let packet = flows[number].next(using: &generator)
                    packets.append(packet)
                    numbers.append(flows[number].owns(packet) ? number : Self.strays)
                }
            }
            let outputs = Self.coalesce(packets, with: &coalescer)
            if let fault = Self.fault(outputs, of: packets, flows: numbers) {
                Issue.record("seed \(generator.seed): \(fault)")
                return
            }
            joined += packets.count - outputs.count
        }
        // Oddities apart, most packets of a burst are joined.
        #expect(joined > Extent.packetRuns)
    }

    @Test("a bulk flow of 40 equal segments is one superpacket, TCP and UDP, IPv4 and IPv6")
    func bulk() {
        var generator = SeededGenerator.fresh()
        var coalescer = Coalescer()
        for _ in 0..<12 {
            var flow = RandomFlow(0, size: 1300, oddity: .max, using: &generator)
            let packets = (0..<40).map { _ in flow.next(using: &generator) }
            let outputs = Self.coalesce(packets, with: &coalescer)
            #expect(outputs.count == 1)
            #expect(Self.fault(outputs, of: packets, flows: packets.map { _ in 0 }) == nil)
        }
    }

    @Test("interleaved flows make a superpacket each, and a 65th segment begins another")
    func interleaved() {
        var generator = SeededGenerator.fresh()
        var coalescer = Coalescer()
        var flows = (0..<4).map { RandomFlow($0, size: 100, oddity: .max, using: &generator) }
        var packets: [[UInt8]] = []
        for _ in 0..<64 {
            for number in flows.indices { packets.append(flows[number].next(using: &generator)) }
        }
        #expect(Self.coalesce(packets, with: &coalescer).count == 4)
        packets.append(flows[0].next(using: &generator))
        #expect(Self.coalesce(packets, with: &coalescer).count == 5)
    }

    @Test("a last shorter segment and one with PSH or FIN end a superpacket and are in it")
    func ends() throws {
        var generator = SeededGenerator.fresh()
        var coalescer = Coalescer()
        let packets = try Self.tcp(using: &generator)
        for flag in [0x08, 0x01, 0x09] as [UInt8] {
            var ended = packets
            ended[2] = NaiveChecksums.complete(ended[2].with(0x10 | flag, at: Self.flags(of: ended[2])))
            let outputs = Self.coalesce(ended, with: &coalescer)
            #expect(outputs.map(\.members) == [[0, 1, 2], [3]])
            #expect(Self.fault(outputs, of: ended, flows: [0, 0, 0, 0]) == nil)
        }
    }

    @Test("what stands alone is not overtaken: an acknowledgement, a datagram without a checksum, a fragment")
    func notOvertaken() throws {
        var generator = SeededGenerator.fresh()
        var coalescer = Coalescer()
        var packets = try Self.tcp(using: &generator)
        let header = try #require(NaivePacket(packets[2])).headerLength
        var acknowledgement = Array(packets[2][..<header])
        if acknowledgement[0] >> 4 == 4 {
            acknowledgement.replaceSubrange(2..<4, with: Packets.big(UInt16(header)))
        } else {
            acknowledgement.replaceSubrange(4..<6, with: Packets.big(UInt16(header - 40)))
        }
        packets.insert(NaiveChecksums.complete(acknowledgement), at: 2)
        #expect(Self.coalesce(packets, with: &coalescer).map(\.members) == [[0, 1], [2], [3, 4]])
    }

    /// Four segments of one TCP flow.
    private static func tcp(using generator: inout SeededGenerator) throws -> [[UInt8]] {
        while true {
            var flow = RandomFlow(0, size: 50, oddity: .max, using: &generator)
            let packets = (0..<4).map { _ in flow.next(using: &generator) }
            if flow.isTCP { return packets }
        }
    }

    private static func flags(of packet: [UInt8]) -> Int { packet[0] >> 4 == 4 ? 33 : 53 }
}
