// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import Testing
import WeftTestSupport

@testable import Weft

@Suite("Pumps", .serialized)
struct PumpTests {
    /// One end: engine, transports, data path, and the thread that runs it.
    private final class Station: Sendable {
        let engine: Engine
        let overlay: CountingOverlay
        let underlay: CountingUnderlay
        let datapath: PumpedDatapath

        init(
            _ side: End.Side, _ underlay: MemoryUnderlay, wake: WakeEvent, overlayLimit: Int = 100_000,
            receiver: (any OverlayReceiver)? = nil
        ) throws {
            engine = try End(side).engine()
            overlay = CountingOverlay(try MemoryOverlay(wake: wake, limit: overlayLimit))
            self.underlay = CountingUnderlay(underlay)
            datapath = PumpedDatapath(
                engine: engine,
                queues: [
                    .init(
                        fromOverlay: receiver ?? overlay, toOverlay: overlay, fromUnderlay: self.underlay,
                        toUnderlay: self.underlay)
                ],
                timerSender: underlay, wake: wake, clock: { End.start })
        }
    }

    private func pair(
        _ impairments: MemoryUnderlay.Impairments = .init(), limit: Int = 100_000, overlayLimit: Int = 100_000
    ) throws -> (left: Station, right: Station) {
        let wakes = (try WakeEvent(), try WakeEvent())
        let ends = try MemoryUnderlay.pair(
            (End(.left).local, wakes.0), (End(.right).local, wakes.1), impairments, limit: limit)
        return (
            try Station(.left, ends.left, wake: wakes.0),
            try Station(.right, ends.right, wake: wakes.1, overlayLimit: overlayLimit)
        )
    }

    /// Runs both until `body` is done and nothing moves any more, then closes them.
    private func run(_ left: Station, _ right: Station, _ body: @escaping @Sendable () throws -> Void) throws {
        try Threads.run(3) { number in
            switch number {
            case 0: try left.datapath.run()
            case 1: try right.datapath.run()
            default:
                defer {
                    left.datapath.close()
                    right.datapath.close()
                }
                try body()
                var last: [Int] = []
                for _ in 0..<200 {
                    usleep(50_000)
                    let now = [left, right].flatMap { station in
                        [
                            station.overlay.received.load(ordering: .relaxed),
                            station.overlay.sent.load(ordering: .relaxed),
                            station.underlay.sent.load(ordering: .relaxed),
                            station.underlay.received.load(ordering: .relaxed),
                        ]
                    }
                    if now == last { break }
                    last = now
                }
            }
        }
    }

    /// Whether an engine's books say what its transports saw.
    private func expectConserved(_ station: Station, _ comment: Comment) {
        let totals = station.engine.totals()
        #expect(totals.fromOverlay == UInt64(station.overlay.received.load(ordering: .relaxed)), comment)
        #expect(totals.toUnderlay == UInt64(station.underlay.sent.load(ordering: .relaxed)), comment)
        #expect(totals.fromUnderlay == UInt64(station.underlay.received.load(ordering: .relaxed)), comment)
        #expect(totals.toOverlay == UInt64(station.overlay.sent.load(ordering: .relaxed)), comment)
    }

    @Test("the books balance under loss, duplication and reordering, both ways at once")
    func conservation() throws {
        for seed in 1...4 as ClosedRange<UInt64> {
            let (left, right) = try pair(
                .init(loss: 0.05, duplication: 0.05, reordering: 0.1, largestDatagram: 700, seed: seed))
            try run(left, right) {
                var generator = SeededGenerator(seed: seed)
                for _ in 0..<3_000 {
                    let family: IPAddress.Family = Bool.random(using: &generator) ? .v4 : .v6
                    left.overlay.inner.inject(Packets.random(from: .left, family, longest: 800, using: &generator))
                    right.overlay.inner.inject(Packets.random(from: .right, family, longest: 800, using: &generator))
                    // Some have no route, and some are no packets.
                    if Int.random(in: 0..<50, using: &generator) == 0 { left.overlay.inner.inject([0x45, 0, 0]) }
                }
            }
            expectConserved(left, "left, seed \(seed)")
            expectConserved(right, "right, seed \(seed)")
            let drops = left.engine.totals().drops
            #expect((drops[.tooLongForUnderlay] ?? 0) > 0 && (drops[.overlayMalformed] ?? 0) > 0)
            #expect((right.engine.totals().drops[.replayed] ?? 0) > 0)
            #expect(left.overlay.received.load(ordering: .relaxed) >= 3_000)
        }
    }

    @Test("an overlay and an underlay that are full refuse, and each packet is counted once")
    func full() throws {
        let (left, right) = try pair(limit: 64, overlayLimit: 100)
        try run(left, right) {
            for _ in 0..<2_000 {
                left.overlay.inner.inject(Packets.udp(from: .left, count: 200))
                if Bool.random() { usleep(50) }
            }
        }
        expectConserved(left, "left")
        expectConserved(right, "right")
        let tx = left.engine.totals()
        let rx = right.engine.totals()
        #expect(tx.fromOverlay == 2_000)
        #expect(rx.drops[.overlayRefused] == rx.rxPackets - 100)
        #expect(right.overlay.inner.takeDelivered().count == 100)
    }

    @Test("what doesn't fit is answered, in the name of its destination")
    func tooBig() throws {
        let (left, right) = try pair(.init(largestDatagram: 600))
        try run(left, right) {
            for family in [IPAddress.Family.v4, .v6] {
                left.overlay.inner.inject(Packets.udp(from: .left, family, count: 900))
                left.overlay.inner.inject(Packets.udp(from: .left, family, count: 300))
            }
        }
        let replies = left.overlay.inner.takeDelivered()
        #expect(replies.count == 2)
        for reply in replies {
            let packet = try #require(NaivePacket(reply))
            #expect(packet.proto == (packet.isV4 ? 1 : 58))
            #expect(reply[packet.transport] == (packet.isV4 ? 3 : 2))
            let source = Packets.host(.right, packet.isV4 ? .v4 : .v6).bytes
            #expect(Array(reply[packet.isV4 ? 12..<16 : 8..<24]) == source)
        }
        #expect(right.overlay.inner.takeDelivered().count == 2)
        #expect(left.engine.totals().drops == [.tooLongForUnderlay: 2])
    }

    @Test("it runs once; closed before, it returns at once; closing again is harmless")
    func once() throws {
        let (left, right) = try pair()
        left.datapath.close()
        left.datapath.close()
        try left.datapath.run()
        #expect(throws: DatapathError.self) { try left.datapath.run() }
        try Threads.run(2) { number in
            if number == 0 { return try right.datapath.run() }
            usleep(50_000)
            #expect(throws: DatapathError.self) { try right.datapath.run() }
            right.datapath.close()
            right.datapath.close()
        }
    }

    @Test("closing ends a run within a second, idle, busy, and while reads fail")
    func close() throws {
        for isBusy in [false, true] {
            let (left, right) = try pair()
            let clock = ContinuousClock()
            let held = Held(Mutex(nil))
            try Threads.run(3) { number in
                switch number {
                case 0: try left.datapath.run()
                case 1: try right.datapath.run()
                default:
                    for _ in 0..<(isBusy ? 20_000 : 0) {
                        left.overlay.inner.inject(Packets.udp(from: .left, count: 1200))
                    }
                    usleep(100_000)
                    held.value.withLock { $0 = clock.now }
                    left.datapath.close()
                    right.datapath.close()
                }
            }
            let start = try #require(closed(held))
            #expect(clock.now - start < .seconds(1))
        }
        let wake = try WakeEvent()
        let ends = try MemoryUnderlay.pair((End(.left).local, wake), (End(.right).local, WakeEvent()))
        let failing = FailingOverlay(failures: .max, pause: 9, wake: wake)
        let station = try Station(.left, ends.left, wake: wake, receiver: failing)
        let clock = ContinuousClock()
        let held = Held(Mutex(nil))
        try Threads.run(2) { number in
            if number == 0 { return try station.datapath.run() }
            usleep(300_000)
            held.value.withLock { $0 = clock.now }
            station.datapath.close()
        }
        let start = try #require(closed(held))
        #expect(clock.now - start < .seconds(1))
    }

    private final class Held: Sendable {
        let value: Mutex<ContinuousClock.Instant?>

        init(_ value: consuming Mutex<ContinuousClock.Instant?>) { self.value = value }
    }

    private func closed(_ held: Held) -> ContinuousClock.Instant? { held.value.withLock { $0 } }

    @Test("16 failing reads in a row end the run with their error; 15 don't")
    func failingReads() throws {
        for (failures, ends) in [(15, false), (16, true)] {
            let wake = try WakeEvent()
            let wire = try MemoryUnderlay.pair((End(.left).local, wake), (End(.right).local, WakeEvent()))
            let failing = FailingOverlay(failures: failures, wake: wake)
            let station = try Station(.left, wire.left, wake: wake, receiver: failing)
            let thrown = Thrown()
            try Threads.run(2) { number in
                if number == 0 {
                    do throws(DatapathError) { try station.datapath.run() } catch {
                        thrown.error.withLock { $0 = error }
                    }
                    return
                }
                for _ in 0..<500 where !failing.isDone { usleep(10_000) }
                // Whether it goes on is seen a while after the last failure.
                usleep(400_000)
                station.datapath.close()
            }
            let error = thrown.error.withLock { $0 }
            if ends {
                #expect(
                    error?.description
                        == DatapathError.transport(TransportError("read from the test", code: 5)).description)
            } else {
                #expect(error == nil)
            }
        }
    }

    private final class Thrown: Sendable {
        let error = Mutex<DatapathError?>(nil)
    }
}
