// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

@Suite("Manual keys that were carried to the wrong place")
struct CarriedKeyTests {
    private static let send = [UInt8](repeating: 1, count: 16)
    private static let receive = [UInt8](repeating: 2, count: 16)

    /// One of two ends with the same file.
    private func end(
        _ side: End.Side, _ cipher: CipherChoice = .automatic, sentBefore: UInt64 = 0, skipped: UInt64
    ) throws -> Engine {
        var end = End(side)
        end.cipher = cipher
        let engine = try end.engine(epoch: nil)
        try engine.installManualKeys(
            ManualKeys(
                epoch: 1, sendKey: try PacketKey(Self.send), receiveKey: try PacketKey(Self.receive),
                sentBefore: sentBefore,
                skipped: skipped, ceiling: 1 << 40), for: .vni(End.vni), at: End.start)
        return engine
    }

    private func sealed(_ engine: Engine, _ side: End.Side, at now: Instant = End.start) throws -> [UInt8]? {
        var lane = try Lane(engine)
        let result = lane.seal(Packets.udp(from: side), as: .datagram, at: now)
        return result.outcome == "forward" ? result.bytes : nil
    }

    private func open(_ datagrams: [[UInt8]], _ engine: Engine, _ way: Scenario.Way, at now: Instant = End.start) throws
    {
        var scenario = Scenario(engine: engine, now: now, inputs: datagrams.map { .underlay($0) })
        scenario.source = IPAddress(v4: 0xC000_0209)
        #expect(try scenario.run(way) == 0)
    }

    private func isShared(_ engine: Engine) throws -> Bool { try #require(engine.networks().first?.transmit).isShared }

    @Test(
        "the first datagram of the other end stops an end that has the same file", arguments: Scenario.Way.allCases,
        [CipherChoice.automatic, .openSSL])
    func sameFile(_ way: Scenario.Way, _ cipher: CipherChoice) throws {
        let left = try end(.left, cipher, skipped: 1000)
        let right = try end(.right, cipher, skipped: 70_000)
        let hers = try #require(try sealed(right, .right))
        _ = try sealed(left, .left)
        try open([hers], left, way)
        #expect(left.totals().drops == [.sealedWithOurKey: 1])
        #expect(try isShared(left))
        // Nothing is sealed any more, whatever comes.
        #expect(try sealed(left, .left) == nil)
        try left.raiseCounterCeiling(of: .vni(End.vni), spi: 1, to: 1 << 41)
        #expect(try sealed(left, .left) == nil)
        #expect(left.totals().drops == [.sealedWithOurKey: 1, .transmitKeyShared: 2])
        // The other end learns it in the same way.
        let his = try #require(try sealed(try end(.left, cipher, skipped: 1000), .left))
        try open([his], right, way)
        #expect(try isShared(right))
    }

    @Test("a keep-alive is enough", arguments: Scenario.Way.allCases)
    func keepAlive(_ way: Scenario.Way) throws {
        var datagram = Crafted(key: Self.send, spi: 1, [])
        datagram.protocolType = Geneve.ProtocolType.outOfBand
        datagram.counter = 5
        let engine = try end(.left, skipped: 1000)
        try open([try datagram.sealed()], engine, way)
        #expect(try isShared(engine))
    }

    @Test(
        "what was ours and is sent back stops nothing, be it of this life or of an earlier one",
        arguments: Scenario.Way.allCases)
    func reflected(_ way: Scenario.Way) throws {
        let engine = try end(.left, sentBefore: 100, skipped: 1000)
        let own = try #require(try sealed(engine, .left))
        try open([own], engine, way)
        for counter in [0, 1, 99, 100] as [UInt64] {
            var earlier = Crafted(key: Self.send, spi: 1, Packets.udp(from: .left))
            earlier.counter = counter
            // A trial each millisecond.
            try open(
                [try earlier.sealed()], engine, way, at: End.start.advanced(by: .milliseconds(2 * Int64(counter) + 2)))
        }
        #expect(engine.totals().drops == [.sealedWithOurKey: 5])
        #expect(try !isShared(engine))
        #expect(try sealed(engine, .left) != nil)
    }

    @Test("nor do forged ones, which are no more than forged", arguments: Scenario.Way.allCases)
    func forged(_ way: Scenario.Way) throws {
        let engine = try end(.left, skipped: 1000)
        var random = SeededGenerator.fresh()
        let good = try #require(try sealed(engine, .left))
        for round in 1...200 as ClosedRange<Int64> {
            var bad = good
            // The counter's bytes, or any behind them.
            bad[Int.random(in: 24..<bad.count, using: &random)] ^= UInt8.random(in: 1...255, using: &random)
            try open([bad], engine, way, at: End.start.advanced(by: .milliseconds(2 * round)))
        }
        #expect(engine.totals().drops == [.authenticationFailed: 200], "seed \(random.seed)")
        #expect(try !isShared(engine), "seed \(random.seed)")
    }

    @Test("a flood has one datagram a millisecond tried, and the next still finds it")
    func flood() throws {
        let engine = try end(.left, skipped: 1000)
        let good = try #require(try sealed(engine, .left))
        let bad = good.with(good[good.count - 1] ^ 1, at: good.count - 1)
        var hers = Crafted(key: Self.send, spi: 1, Packets.udp(from: .right))
        hers.counter = 5
        try open([bad, try hers.sealed()], engine, .batch)
        #expect(engine.totals().drops == [.authenticationFailed: 2])
        try open([try hers.sealed()], engine, .batch, at: End.start.advanced(by: .milliseconds(1)))
        #expect(try isShared(engine))
    }

    @Test("counters that are left out are never used, and the ceiling holds above them")
    func skipped() throws {
        let engine = try end(.left, sentBefore: 7, skipped: 1000)
        let datagram = try #require(try sealed(engine, .left))
        #expect(Array(datagram[24..<32]) == Packets.big(1008 as UInt64))
        let beyond = try end(.left, sentBefore: 1 << 60, skipped: 1000)
        #expect(try sealed(beyond, .left) == nil)
        #expect(beyond.totals().drops == [.countersExhausted: 1])
    }
}
