// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

@Suite("Integrity from end to end")
struct IntegrityTests {
    /// A packet on its way: the flow it is of, and its place in it.
    private struct Label: Hashable {
        let flow: Int
        let number: Int
    }

    /// A datagram and what was sealed into it.
    private struct Datagram {
        let bytes: [UInt8]
        let label: Label
    }

    /// An underlay that loses, repeats and delays; how much, changes from round to round.
    private struct Wire {
        private var late: [Datagram] = []
        private(set) var lost = 0

        mutating func carry(_ datagrams: [Datagram], using generator: inout SeededGenerator) -> [Datagram] {
            // Every fourth round keeps everything as it is.
            let isCalm = Int.random(in: 0..<4, using: &generator) == 0
            var arrived = late
            late = []
            for datagram in datagrams {
                switch isCalm ? 99 : Int.random(in: 0..<40, using: &generator) {
                case 0: lost += 1
                case 1: arrived += [datagram, datagram]
                case 2:
                    arrived.insert(
                        datagram, at: .random(in: max(0, arrived.count - 9)...arrived.count, using: &generator))
                case 3 where datagrams.count > 1: late.append(datagram)
                default: arrived.append(datagram)
                }
            }
            return arrived
        }
    }

    /// Packets, or with an exhaustive run bytes of them.
    private static let packets = 200_000
    private static let bytes = Extent.isExhaustive ? 10_000_000_000 : 0

    @Test("Mixed packets over a bad underlay: nothing altered, doubled, or out of order that came in order")
    func mixed() throws {
        var generator = SeededGenerator.fresh()
        let left = try End(.left).engine()
        let right = try End(.right).engine()
        var sealing = try Lane(left)
        var opening = try Lane(right)
        var traffic = MixedTraffic()
        var wire = Wire()
        var fromOverlay = FromOverlay(room: 512 * 1024)
        var toUnderlay = ToUnderlay(capacity: 2048, room: 1 << 20)
        var fromUnderlay = FromUnderlay(capacity: 2048, slotSize: 65_536)
        var toOverlay = ToOverlay(capacity: 4096)
        var cutter = SuperpacketCutter()

        var sent = 0
        var sentBytes = 0
        var arrivals = 0
        var delivered = 0
        var groups = 0
        var numbers = [Int](repeating: 0, count: traffic.flowCount)
        var lastArrived = [Int](repeating: -1, count: traffic.flowCount)
        var lastDelivered = [Int](repeating: -1, count: traffic.flowCount)
        /// What is on its way, in the rounds that it was sent in.
        var expected: [[UInt8]: Label] = [:]
        var rounds: [[[UInt8]]] = []
        while sent < Self.packets || sentBytes < Self.bytes {
            fromOverlay.removeAll()
            toUnderlay.removeAll()
            var labels: [Label] = []
            var round: [[UInt8]] = []
            for _ in 0..<Int.random(in: 1...30, using: &generator) where fromOverlay.hasRoom {
                let item = traffic.next(using: &generator)
                fromOverlay.append(item.packet, item.offload)
                for packet in item.expected {
                    let label = Label(flow: item.flow, number: numbers[item.flow])
                    numbers[item.flow] += 1
                    expected[packet] = label
                    labels.append(label)
                    sentBytes += packet.count
                    round.append(packet)
                }
            }
            sealing.encapsulate(&fromOverlay, into: &toUnderlay, at: End.start)
            let datagrams = toUnderlay.datagrams
            try #require(datagrams.count == labels.count)
            sent += labels.count
            let arrived = wire.carry(zip(datagrams, labels).map(Datagram.init), using: &generator)
            arrivals += arrived.count
            var disturbed: Set<Int> = []
            for datagram in arrived {
                let label = datagram.label
                if label.number < lastArrived[label.flow] { disturbed.insert(label.flow) }
                lastArrived[label.flow] = max(lastArrived[label.flow], label.number)
            }

            fromUnderlay.removeAll()
            toOverlay.removeAll()
            Self.fill(&fromUnderlay, arrived.map(\.bytes), using: &generator)
            opening.decapsulate(&fromUnderlay, into: &toOverlay, at: End.start)
            groups += toOverlay.groups.count
            var fault: String?
            for index in 0..<toOverlay.groups.count {
                cutter.take(toOverlay.groups[index], of: toOverlay, in: fromUnderlay.arena)
                let isCut = cutter.cut(toOverlay.groups[index].offload) { packet in
                    delivered += 1
                    guard let label = expected.removeValue(forKey: packet.copied) else {
                        fault = "altered, or delivered twice"
                        return
                    }
                    let isLater = label.number > lastDelivered[label.flow]
                    if !isLater, !disturbed.contains(label.flow) { fault = "out of order" }
                    lastDelivered[label.flow] = max(lastDelivered[label.flow], label.number)
                }
                if !isCut { fault = "not cut" }
            }
            if let fault {
                Issue.record("seed \(generator.seed): \(fault), after \(sent)")
                return
            }
            // What was lost is forgotten some rounds later.
            rounds.append(round)
            if rounds.count > 3 {
                for packet in rounds.removeFirst() { expected.removeValue(forKey: packet) }
            }
        }
        let tx = left.totals()
        let rx = right.totals()
        #expect(tx.drops == [:] && tx.fromOverlay == UInt64(sent) && tx.toUnderlay == UInt64(sent))
        #expect(Set(rx.drops.keys) == [.replayed])
        #expect(rx.fromUnderlay == UInt64(arrivals) && rx.toOverlay == UInt64(delivered))
        #expect(delivered <= sent - wire.lost && delivered > sent * 9 / 10)
        // Superpackets were made.
        #expect(groups < delivered * 2 / 3)
        print("\(sent) packets of \(sentBytes) bytes sent, \(wire.lost) lost, \(delivered) delivered")
    }

    /// Puts datagrams into buffers; those of one size that follow one another mostly into one, as the kernel does.
    private static func fill(
        _ batch: inout FromUnderlay, _ datagrams: [[UInt8]], using generator: inout SeededGenerator
    ) {
        let source = Endpoint(End.Side.left.underlay(.v4), port: Geneve.port)
        var next = 0
        while next < datagrams.count {
            let size = datagrams[next].count
            var whole = datagrams[next]
            var count = 1
            let limit = Int.random(in: 1...64, using: &generator)
            while count < limit, next + count < datagrams.count, whole.count % size == 0,
                datagrams[next + count].count <= size, whole.count + size <= 65_535
            {
                whole += datagrams[next + count]
                count += 1
            }
            let offset = batch.buffers.count * batch.slotSize
            var bytes = batch.arena.mutableBytes
            unsafe bytes.copy(whole.span.bytes, to: offset)
            batch.buffers.append(
                .init(place: PacketRange(offset: offset, count: whole.count), segmentSize: size, source: source))
            next += count
        }
    }
}
