// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

@Suite("Rate limits")
struct RateLimitTests {
    private static let stranger = IPAddress(v4: 0xCB00_7101)

    private static func after(_ milliseconds: Int64, _ nanoseconds: Int64 = 0) -> Instant {
        Instant(nanoseconds: UInt64(Int64(End.start.nanoseconds) + milliseconds * 1_000_000 + nanoseconds))
    }

    @Test(
        "a window of 100 ms admits a tenth of the rate, at least one",
        arguments: [(0, 1), (1, 1), (9, 1), (10, 1), (19, 1), (20, 2), (1_000, 100)] as [(UInt64, Int)])
    func windows(perSecond: UInt64, perWindow: Int) {
        var limit = WindowLimit(perSecond: perSecond)
        func admitted(at now: Instant) -> Int { (0..<perWindow + 5).count { _ in limit.admits(at: now) } }
        #expect(admitted(at: Self.after(0)) == perWindow)
        #expect(admitted(at: Self.after(99)) == 0)
        #expect(admitted(at: Self.after(100, -1)) == 0)
        // The next window opens with the first datagram at or after the end.
        #expect(admitted(at: Self.after(100)) == perWindow)
        #expect(admitted(at: Self.after(270)) == perWindow)
        #expect(admitted(at: Self.after(369)) == 0)
        #expect(admitted(at: Self.after(370, -1)) == 0)
        #expect(admitted(at: Self.after(370)) == perWindow)
    }

    /// An engine that lets two datagrams of the peer's in within 100 ms.
    private func engine() throws -> Engine {
        var end = End(.right)
        end.rateLimit = 20
        return try end.engine()
    }

    private func sealed(_ counter: UInt64) throws -> [UInt8] {
        var datagram = Crafted(from: .left, Packets.udp(from: .left))
        datagram.counter = counter
        return try datagram.sealed()
    }

    private func forged() throws -> [UInt8] {
        let good = try sealed(1000)
        return good.with(good[40] ^ 1, at: 40)
    }

    /// Opens datagrams one by one, or as a batch, and says what is in the books then.
    private func run(
        _ engine: Engine, _ datagrams: [(datagram: [UInt8], source: IPAddress)], _ way: Scenario.Way,
        at now: Instant = End.start
    ) throws -> (passed: UInt64, drops: [DropReason: UInt64]) {
        var lane = try Lane(engine)
        if way == .batch {
            var batch = FromUnderlay(capacity: datagrams.count)
            var packets = ToOverlay(capacity: datagrams.count)
            for (datagram, source) in datagrams { batch.append(datagram, from: source) }
            lane.decapsulate(&batch, into: &packets, at: now)
        } else {
            for (datagram, source) in datagrams {
                _ =
                    way == .across
                    ? lane.open(datagram, from: source, as: .datagram, at: now)
                    : lane.openInPlace(datagram, from: source, as: .datagram, at: now)
            }
        }
        let totals = engine.totals()
        return (totals.toOverlay, totals.drops)
    }

    private let peer = End.Side.left.underlay(.v4)

    @Test(
        "what comes behind the nonce's SPI and before the tag counts, each network's by itself",
        arguments: Scenario.Way.allCases)
    func place(_ way: Scenario.Way) throws {
        let engine = try engine()
        var wrongSPI = Crafted(from: .left, Packets.udp(from: .left))
        wrongSPI.nonceSPI += 1
        let mismatched = try wrongSPI.sealed()
        let outcome = try run(
            engine,
            [(mismatched, peer), (mismatched, peer), (mismatched, peer)] + (1...3).map { (try sealed($0), peer) }, way)
        #expect(outcome.passed == 2 && outcome.drops == [.spiMismatch: 3, .rateLimited: 1])
        // An update of routes doesn't open a new window.
        try engine.updateRoutes(of: .vni(End.vni), to: [End.Side.right.route(.v4)])
        #expect(try run(engine, [(sealed(4), peer)], way, at: Self.after(99)).drops[.rateLimited] == 2)
        #expect(try run(engine, [(sealed(4), peer)], way, at: Self.after(100)).passed == 3)
    }

    @Test("a stranger who knows VNI and SPI takes nothing from the peer", arguments: Scenario.Way.allCases)
    func strangers(_ way: Scenario.Way) throws {
        let forged = try forged()
        let outcome = try run(
            engine(),
            (0..<50).map { _ in (forged, Self.stranger) } + [(sealed(1), peer), (sealed(2), peer), (sealed(3), peer)],
            way)
        #expect(outcome.passed == 2)
        #expect(outcome.drops == [.authenticationFailed: 2, .failuresLimited: 48, .rateLimited: 1])
    }

    @Test("nor does one who sends again what the peer sent", arguments: Scenario.Way.allCases)
    func replays(_ way: Scenario.Way) throws {
        let engine = try engine()
        let first = try sealed(1)
        #expect(try run(engine, [(first, peer)], way).passed == 1)
        let outcome = try run(engine, (0..<50).map { _ in (first, Self.stranger) }, way, at: Self.after(200))
        // A batch is tried as a whole, for what it repeats is only known once all of it is open.
        #expect(outcome.drops == (way == .batch ? [.replayed: 50] : [.replayed: 2, .failuresLimited: 48]))
        #expect(try run(engine, [(sealed(2), peer), (sealed(3), peer)], way, at: Self.after(200)).passed == 3)
    }

    @Test("nor one who forges the address that the peer was last heard from", arguments: Scenario.Way.allCases)
    func forgedSource(_ way: Scenario.Way) throws {
        let engine = try engine()
        #expect(try run(engine, [(sealed(1), peer)], way).passed == 1)
        let forged = try forged()
        let outcome = try run(
            engine, (0..<50).map { _ in (forged, peer) } + [(sealed(2), peer)], way, at: Self.after(200))
        #expect(outcome.passed == 2 && outcome.drops == [.authenticationFailed: 50])
    }

    @Test("failures are forgotten with their window")
    func forgotten() throws {
        let engine = try engine()
        let forged = try forged()
        for time in [0, 100, 200] as [Int64] {
            _ = try run(engine, (0..<3).map { _ in (forged, Self.stranger) }, .batch, at: Self.after(time))
        }
        #expect(engine.totals().drops == [.authenticationFailed: 6, .failuresLimited: 3])
    }

    @Test("all addresses of an IPv6 /64 are one source, and sources without number fill no more than the places")
    func sources() {
        let limit = RateLimit(perSecond: 20)
        for index in 0..<10 as Range<UInt64> {
            limit.failed(from: IPAddress(v6: 0x2001_0DB8 << 32, index), at: End.start)
        }
        #expect(limit.refusal(of: IPAddress(v6: 0x2001_0DB8 << 32, 99), at: End.start) == .failuresLimited)
        var tried = 0
        for index in 0..<100_000 as Range<UInt32> {
            let source = IPAddress(v4: index)
            guard limit.refusal(of: source, at: End.start) == nil else { continue }
            tried += 1
            limit.failed(from: source, at: End.start)
        }
        #expect(tried > RateLimit.places && tried <= 2 * RateLimit.places)
        #expect(limit.admits(from: IPAddress(v4: 1), at: End.start))
    }
}
