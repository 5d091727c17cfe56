// SPDX-License-Identifier: Apache-2.0
import Synchronization
import Testing
import WeftTestSupport

@testable import Weft

@Suite("Rate limit and keep-alives")
struct TimingTests {
    private static func after(_ milliseconds: Int64, _ nanoseconds: Int64 = 0) -> Instant {
        End.start.advanced(by: .milliseconds(milliseconds) + .nanoseconds(nanoseconds))
    }

    private func keepAlive(_ lane: inout Lane, at now: Instant) -> [UInt8]? {
        var buffer = [UInt8](repeating: 0xEE, count: 200)
        let range = buffer.withMutableBytes { lane.keepAlive(of: .vni(End.vni), into: &$0, as: .datagram, at: now) }
        return range.map { Array(buffer[$0]) }
    }

    @Test("a keep-alive is due at the first call and then an interval after the last, whatever was sent")
    func due() throws {
        var end = End(.left)
        end.keepAlive = .seconds(25)
        let engine = try end.engine()
        var lane = try Lane(engine)
        var sent = 0
        for (time, isDue) in [
            (3, true), (3, false), (25_002, false), (25_003, true), (25_004, false), (80_000, true), (104_999, false),
            (105_000, true),
        ] as [(Int64, Bool)] {
            _ = lane.seal(Packets.udp(from: .left), as: .datagram, at: Self.after(time))
            let datagram = keepAlive(&lane, at: Self.after(time))
            #expect((datagram != nil) == isDue, "at \(time)")
            sent += isDue ? 1 : 0
        }
        let totals = engine.totals()
        #expect(totals.txKeepAlives == UInt64(sent))
        #expect(totals.txPackets == UInt64(sent + 8))
        #expect(totals.fromOverlay == 8)
        // A change of routes or keys doesn't make another one due.
        try engine.updateRoutes(of: .vni(End.vni), to: [])
        try engine.install(Keys.pair(.left, epoch: 2), for: .vni(End.vni), at: End.start)
        lane.refresh()
        #expect(keepAlive(&lane, at: Self.after(105_001)) == nil)
    }

    @Test("a keep-alive is an authenticated header without payload, counted as such by who receives it")
    func received() throws {
        var end = End(.left)
        end.keepAlive = .seconds(1)
        var sender = try Lane(try end.engine())
        let engine = try End(.right).engine()
        var receiver = try Lane(engine)
        let datagram = try #require(keepAlive(&sender, at: End.start))
        #expect(datagram.count == 48)
        #expect(datagram.word(2, as: UInt16.self) == 0)
        #expect(receiver.open(datagram, as: .datagram, at: End.start) == Result(.consumed, []))
        #expect(receiver.open(datagram, as: .datagram, at: End.start).outcome == "dropped replayed")
        for statistics in [engine.totals(), try #require(engine.networks().first).statistics] {
            #expect(statistics.rxPackets == 1)
            #expect(statistics.rxOutOfBand == 1)
            #expect(statistics.toOverlay == 0)
            #expect(statistics.fromUnderlay == 2)
            #expect(statistics.lastReceive == End.start)
        }
    }

    @Test("none without interval, key, live key, endpoint or room; and then it stays due")
    func withheld() throws {
        for change in 0..<4 {
            var end = End(.left)
            end.keepAlive = change == 0 ? nil : .seconds(1)
            end.hasEndpoint = change != 1
            let engine = try end.engine(
                epoch: change == 2 ? nil : 1, expiry: change == 3 ? Self.after(0) : .distantFuture)
            var lane = try Lane(engine)
            #expect(keepAlive(&lane, at: Self.after(1)) == nil, "\(change)")
            #expect(engine.totals() == Statistics(), "\(change)")
        }
        var end = End(.left)
        end.keepAlive = .seconds(1)
        let engine = try end.engine()
        var lane = try Lane(engine)
        var short = [UInt8](repeating: 0, count: 47)
        let range = short.withMutableBytes {
            lane.keepAlive(of: .vni(End.vni), into: &$0, as: .datagram, at: End.start)
        }
        #expect(range == nil)
        #expect(keepAlive(&lane, at: End.start) != nil)
    }

    @Test("keep-alives of many networks join a batch as far as it has room, and the others stay due")
    func batch() throws {
        let engine = try Engine(End(.left).configuration)
        for vni in 1...10 as ClosedRange<UInt32> {
            var network = End(.left).network
            (network.id, network.routes, network.keepAliveInterval) = (.vni(vni), [], vni == 4 ? nil : .seconds(1))
            try engine.add(network)
            try engine.install(Keys.pair(.left, epoch: vni), for: .vni(vni), at: End.start)
        }
        var lane = try Lane(engine)
        var batch = ToUnderlay(capacity: 6)
        lane.keepAlives(into: &batch, at: End.start)
        #expect((0..<batch.runs.count).map { batch.runs[$0].network.vni } == [1, 2, 3, 5, 6, 7])
        for index in 0..<6 {
            #expect(batch.runs[index].origin == nil)
            #expect(batch.runs[index].destination == End(.left).remote)
            #expect(batch.datagrams[index].word(4, as: UInt32.self) >> 8 == batch.runs[index].network.vni)
        }
        batch.removeAll()
        lane.keepAlives(into: &batch, at: End.start)
        #expect((0..<batch.runs.count).map { batch.runs[$0].network.vni } == [8, 9, 10])
    }

    @Test("of several threads that ask at once one is told that a keep-alive is due")
    func oneOfMany() throws {
        let timer = KeepAliveTimer(interval: .seconds(1))
        let rounds = 2_000
        let told = Mutex([Int](repeating: 0, count: rounds))
        try Threads.run(4) { _ in
            for round in 0..<rounds where timer.isDue(at: Self.after(Int64(round) * 1_000)) {
                told.withLock { $0[round] += 1 }
            }
        }
        // A thread that lags behind may find a later round done, and then its own isn't due any more.
        let counts = told.withLock { $0 }
        #expect(counts.allSatisfy { $0 <= 1 })
        #expect(counts.last == 1)
        #expect(counts.first == 1)
    }
}
