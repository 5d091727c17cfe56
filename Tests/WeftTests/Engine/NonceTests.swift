// SPDX-License-Identifier: Apache-2.0
import Synchronization
import Testing
import WeftTestSupport

@testable import Weft

@Suite("Nonces")
struct NonceTests {
    /// The SPI and counter of a datagram's nonce.
    private static func nonce(_ datagram: [UInt8]) -> (spi: UInt32, counter: UInt64) {
        (datagram.word(20), datagram.word(24))
    }

    @Test("8 threads never use a counter twice, across batches, single packets and a ceiling that is hit and raised")
    func uniqueness() throws {
        let threads = 8
        let engine = try End(.left).engine(epoch: nil)
        let ceilings: [UInt64] = [1_000, 9_000, 25_000]
        try engine.installManualKeys(
            ManualKeys(
                epoch: 1, sendKey: Keys.key(.left, epoch: 1), receiveKey: Keys.key(.right, epoch: 1),
                ceiling: ceilings[0]),
            for: .vni(End.vni), at: End.start)
        let used = Mutex<[UInt64]>([])
        try Threads.run(threads) { number in
            var lane = try Lane(engine)
            var fromOverlay = FromOverlay()
            var toUnderlay = ToUnderlay()
            var mine: [UInt64] = []
            let packet = Packets.udp(from: .left, count: 40)
            for _ in 0..<32 { fromOverlay.append(packet) }
            for round in 0..<100 {
                if number == 0, round == 20 || round == 60 {
                    try engine.raiseCounterCeiling(of: .vni(End.vni), spi: 1, to: ceilings[round == 20 ? 1 : 2])
                }
                toUnderlay.removeAll()
                lane.encapsulate(&fromOverlay, into: &toUnderlay, at: End.start)
                mine += toUnderlay.datagrams.map { Self.nonce($0).counter }
                let single = lane.seal(packet, as: .datagram, at: End.start)
                if single.outcome == "forward" { mine.append(Self.nonce(single.bytes).counter) }
            }
            used.withLock { $0 += mine }
        }
        let counters = used.withLock { $0 }
        let totals = engine.totals()
        // What the last ceiling left over, and then nothing more.
        var lane = try Lane(engine)
        var rest: [UInt64] = []
        while true {
            let result = lane.seal(Packets.udp(from: .left, count: 40), as: .datagram, at: End.start)
            guard result.outcome == "forward" else {
                #expect(result.outcome == "dropped countersExhausted")
                break
            }
            rest.append(Self.nonce(result.bytes).counter)
        }
        let all = counters + rest
        #expect(Set(all).count == all.count)
        #expect(Set(all) == Set(1...ceilings[2]))
        #expect(totals.txPackets == UInt64(counters.count))
        #expect(totals.fromOverlay == UInt64(threads * 100 * 33))
        #expect((totals.drops[.countersExhausted] ?? 0) > 0)
    }

    @Test("a reservation that runs into the ceiling is cut short, and none goes beyond 2^60")
    func limits() throws {
        let key = try Keys.key(.left, epoch: 1)
        let limit = SealingLimits.counter
        #expect(limit == 1 << 60)
        let last = TransmitSA(vni: 7, spi: 1, key: key, expiry: .distantFuture, after: limit - 3, ceiling: .max)
        #expect(last.reserve(2) == limit - 2..<limit)
        #expect(last.reserve(5) == limit..<limit + 1)
        #expect(last.reserve(1).isEmpty)
        last.raiseCeiling(to: .max)
        #expect(last.reserve(1).isEmpty)
        #expect(last.lastCounter == limit)

        let first = TransmitSA(vni: 7, spi: 1, key: key, expiry: .distantFuture, ceiling: 2)
        #expect(first.reserve(0).isEmpty)
        #expect(first.reserve(3) == 1..<3)
        #expect(first.reserve(1).isEmpty)
        first.raiseCeiling(to: 4)
        #expect(first.reserve(9) == 3..<5)

        let beyond = TransmitSA(vni: 7, spi: 1, key: key, expiry: .distantFuture, after: .max)
        #expect(beyond.reserve(1).isEmpty)
    }

    @Test("a key seals 2^36 messages, those of earlier lives among them, wherever its counters begin")
    func volume() throws {
        let key = try Keys.key(.left, epoch: 1)
        let most = SealingLimits.packets
        #expect(most == 1 << 36)
        #expect(TransmitSA(vni: 7, spi: 1, key: key, expiry: .distantFuture).currentCeiling == most)
        let late = TransmitSA(
            vni: 7, spi: 1, key: key, expiry: .distantFuture, after: 1 << 40, sealedBefore: most - 3, ceiling: 1 << 50)
        let first: UInt64 = (1 << 40) + 1
        #expect(late.reserve(5) == first..<first + 3)
        late.raiseCeiling(to: .max)
        #expect(late.reserve(1).isEmpty && !late.isStopped)
        let engine = try Engine(EngineConfiguration(lanes: 1))
        try engine.add(NetworkConfiguration(vni: 7, endpoint: nil, routes: []))
        #expect(throws: EngineError.self) {
            let keys = Weft.ManualKeys(
                epoch: 1, sendKey: try Keys.key(.left, epoch: 1), receiveKey: try Keys.key(.right, epoch: 1),
                sealedBefore: most)
            try engine.installManualKeys(keys, for: .vni(7), at: End.start)
        }
    }

    @Test("the 2^60th message goes out and the next is dropped", arguments: Scenario.Way.allCases)
    func lastMessage(way: Scenario.Way) throws {
        let engine = try End(.left).engine(sentBefore: SealingLimits.counter - 2)
        let packet = Packets.udp(from: .left)
        let scenario = Scenario(engine: engine, inputs: Array(repeating: .overlay(packet), count: 5))
        #expect(try scenario.run(way) == 2)
        #expect(engine.totals().drops == [.countersExhausted: 3])
        #expect(engine.networks().first?.transmit?.lastCounter == SealingLimits.counter)
    }

    @Test("a packet that is dropped before it is sealed takes no counter")
    func noCounterForDrops() throws {
        let engine = try End(.left).engine()
        var lane = try Lane(engine)
        let packet = Packets.udp(from: .left)
        // No room, too large for a frame's length fields, and no route.
        _ = lane.seal(packet, room: packet.count + Geneve.overhead - 1, as: .datagram, at: End.start)
        let large = Packets.udp(from: .left, count: 65_500)
        #expect(lane.seal(large, at: End.start).outcome == "dropped noRoom")
        #expect(lane.sealInPlace(large, at: End.start).outcome == "dropped noRoom")
        _ = lane.seal(Packets.udp(from: .right), as: .datagram, at: End.start)
        let sealed = lane.seal(packet, as: .datagram, at: End.start)
        #expect(Self.nonce(sealed.bytes) == (Keys.spi(.left, epoch: 1), 1))
    }

    @Test("the largest frames that the outer headers can describe", arguments: IPAddress.Family.allCases)
    func largestFrame(outer: IPAddress.Family) throws {
        var ends = (left: End(.left), right: End(.right))
        (ends.left.outer, ends.right.outer) = (outer, outer)
        var sender = try Lane(try ends.left.engine())
        var receiver = try Lane(try ends.right.engine())
        let largest = 65_535 - Geneve.overhead - 8 - (outer == .v4 ? 20 : 0)
        let packet = Packets.udp(from: .left, count: largest)
        let sealed = sender.seal(packet, at: End.start)
        #expect(receiver.open(sealed.bytes, at: End.start).bytes == packet)
        #expect(sender.seal(packet + [0], at: End.start).outcome == "dropped noRoom")
    }
}
