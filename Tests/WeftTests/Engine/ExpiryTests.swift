// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

@Suite("Expiry and grace")
struct ExpiryTests {
    private static func after(_ nanoseconds: UInt64) -> Instant { End.start.advanced(byNanoseconds: nanoseconds) }
    private static let grace: UInt64 = 30_000_000_000

    /// A datagram from `left` that `right` has not seen.
    private static func datagram(epoch: UInt32 = 1, counter: UInt64) throws -> [UInt8] {
        var crafted = Crafted(from: .left, epoch: epoch, Packets.udp(from: .left))
        crafted.counter = counter
        return try crafted.sealed()
    }

    @Test("both directions work up to and including the expiry and stop after it")
    func inclusive() throws {
        let engine = try End(.right).engine(expiry: Self.after(1_000))
        var lane = try Lane(engine)
        let packet = Packets.udp(from: .right)
        for (index, time) in [0, 999, 1_000, 1_001, 1 << 60].enumerated() {
            let now = Self.after(UInt64(time))
            let isLive = time <= 1_000
            let opened = lane.open(try Self.datagram(counter: UInt64(index) + 1), as: .datagram, at: now)
            #expect(opened.outcome == (isLive ? "forward" : "dropped receiveKeyExpired"), "at \(time)")
            let sealed = lane.seal(packet, as: .datagram, at: now)
            #expect(sealed.outcome == (isLive ? "forward" : "dropped transmitKeyExpired"), "at \(time)")
        }
    }

    @Test("what never expires works at the end of time")
    func distantFuture() throws {
        var lane = try Lane(try End(.right).engine())
        #expect(lane.open(try Self.datagram(counter: 1), as: .datagram, at: .distantFuture).outcome == "forward")
        #expect(lane.seal(Packets.udp(from: .right), as: .datagram, at: .distantFuture).outcome == "forward")
    }

    @Test("a replaced receive SA lives for 30 s and no longer, and no longer than its own expiry")
    func grace() throws {
        let own: UInt64 = 7
        let engine = try End(.right).engine(expiry: Self.after(Self.grace + own))
        var lane = try Lane(engine)
        // Replaced at 10 by epoch 2, which is replaced in its turn at 20; epoch 1's grace isn't begun anew by that.
        try engine.install(
            Keys.pair(.right, epoch: 2, expiry: Self.after(25)), for: .vni(End.vni), at: Self.after(own - 1))
        try engine.install(Keys.pair(.right, epoch: 3), for: .vni(End.vni), at: Self.after(20))
        lane.refresh()
        var counter: UInt64 = 0
        func opens(_ epoch: UInt32, at time: UInt64) throws -> String {
            counter += 1
            return lane.open(try Self.datagram(epoch: epoch, counter: counter), as: .datagram, at: Self.after(time))
                .outcome
        }
        let ends: [UInt32: UInt64] = [1: Self.grace + own - 1, 2: 25]
        for (epoch, end) in ends.sorted(by: { $0.key < $1.key }) {
            #expect(try opens(epoch, at: end - 1) == "forward", "epoch \(epoch)")
            #expect(try opens(epoch, at: end) == "forward", "epoch \(epoch)")
            #expect(try opens(epoch, at: end + 1) == "dropped receiveKeyExpired", "epoch \(epoch)")
        }
        #expect(try opens(3, at: 1 << 61) == "forward")
    }

    @Test("100 replaced receive SAs are live at once, and all end with their grace")
    func manyLive() throws {
        let engine = try End(.right).engine()
        var lane = try Lane(engine)
        for epoch in 2...101 as ClosedRange<UInt32> {
            try engine.install(Keys.pair(.right, epoch: epoch), for: .vni(End.vni), at: Self.after(UInt64(epoch)))
        }
        lane.refresh()
        #expect(engine.networks().first?.receive.count == 101)
        for epoch in 1...101 as ClosedRange<UInt32> {
            let last = epoch == 101 ? 1 << 61 : Self.grace + UInt64(epoch) + 1
            let opened = lane.open(try Self.datagram(epoch: epoch, counter: 1), as: .datagram, at: Self.after(last))
            #expect(opened.outcome == "forward", "epoch \(epoch)")
            guard epoch < 101 else { break }
            let late = lane.open(try Self.datagram(epoch: epoch, counter: 2), as: .datagram, at: Self.after(last + 1))
            #expect(late.outcome == "dropped receiveKeyExpired", "epoch \(epoch)")
        }
        // Installing sees to those that have expired; sweeping, too.
        try engine.install(Keys.pair(.right, epoch: 102), for: .vni(End.vni), at: Self.after(Self.grace + 52))
        #expect(engine.networks().first?.receive.map(\.spi) == (51...102).reversed().map { Keys.spi(.left, epoch: $0) })
        engine.sweep(at: Self.after(Self.grace * 3))
        #expect(engine.networks().first?.receive.map(\.spi) == [Keys.spi(.left, epoch: 102)])
    }

    @Test("sweep removes what has expired, keeps what has not, and publishes only what changed")
    func sweep() throws {
        let engine = try End(.right).engine(expiry: Self.after(100))
        let generation = engine.generation.load(ordering: .relaxed)
        engine.sweep(at: Self.after(100))
        #expect(engine.generation.load(ordering: .relaxed) == generation)
        #expect(engine.networks().first?.receive.count == 1)
        #expect(engine.networks().first?.transmit != nil)
        engine.sweep(at: Self.after(101))
        #expect(engine.generation.load(ordering: .relaxed) == generation + 1)
        #expect(engine.networks().first?.receive.isEmpty == true)
        #expect(engine.networks().first?.transmit == nil)
        var lane = try Lane(engine)
        let opened = lane.open(try Self.datagram(counter: 1), as: .datagram, at: End.start)
        #expect(opened.outcome == "dropped noReceiveKey")
        #expect(lane.seal(Packets.udp(from: .right), as: .datagram, at: End.start).outcome == "dropped noTransmitKey")
    }

    @Test("durations: rounded down, never negative, never beyond the end of time")
    func durations() {
        #expect(Duration.nanoseconds(1_999).wholeNanoseconds == 1_999)
        #expect(Duration(secondsComponent: 0, attosecondsComponent: 1_999_999_999).wholeNanoseconds == 1)
        #expect(Duration.seconds(-1).wholeNanoseconds == 0)
        #expect(Duration.nanoseconds(-1).wholeNanoseconds == 0)
        #expect(Duration.seconds(Int64.max).wholeNanoseconds == .max)
        // 2^64 ns is 18,446,744,073.709,551,616 s.
        let second: Int64 = 18_446_744_073
        for (attoseconds, expected) in [
            (709_551_615_000_000_000, UInt64.max), (709_551_614_999_999_999, .max - 1),
            (709_551_616_000_000_000, .max), (999_999_999_000_000_000, .max),
        ] as [(Int64, UInt64)] {
            let duration = Duration(secondsComponent: second, attosecondsComponent: attoseconds)
            #expect(duration.wholeNanoseconds == expected)
        }
        #expect(End.start.advanced(by: .seconds(Int64.max)) == .distantFuture)
        #expect(End.start.advanced(by: .seconds(-5)) == End.start)
        #expect(Instant.distantFuture.advanced(by: .nanoseconds(1)) == .distantFuture)
    }
}
