// SPDX-License-Identifier: Apache-2.0
import Synchronization
import Testing
import WeftTestSupport

@testable import Weft

@Suite("What of strangers' is taken", .serialized)
struct ControlGateTests {
    private static let tags = ConnectionTags(own: .random(), call: .random())

    private struct Bench: ~Copyable {
        let plane: DataPlane
        var end: FromUnderlayEnd
        let consumer: ControlConsumer
        let gate: ControlGate

        init(answersStrangers: Bool = false, limits: CallLimits = CallLimits()) throws {
            let plane = DataPlane(engine: try End(.right).engine())
            let transport = plane.add(underlay: RecordingSender(), name: "test")
            let gate = ControlGate(ControlGateTests.tags, answersStrangers: answersStrangers, limits: limits)
            let consumer = try plane.streams.consumeControl(by: gate)
            end = try transport.makeEnd(overlay: MemoryOverlay(wake: WakeEvent()))
            (self.plane, self.gate, self.consumer) = (plane, gate, consumer)
        }

        /// Sends datagrams that the kernel merged, all of one size.
        mutating func send(_ datagrams: [[UInt8]], from source: UInt32 = 0xC000_0201, at now: Instant = End.start) {
            let size = datagrams.first?.count ?? 0
            var batch = FromUnderlay(capacity: 1, slotSize: max(size * datagrams.count, 1))
            for (index, datagram) in datagrams.enumerated() {
                var room = batch.arena.mutableBytes
                unsafe room.copy(datagram.span.bytes, to: index * size)
            }
            batch.buffers.append(
                .init(
                    place: PacketRange(offset: 0, count: size * datagrams.count), segmentSize: size,
                    source: Endpoint(IPAddress(v4: source), port: 1234)))
            #expect(end.send(&batch, at: now))
        }

        func taken() -> [[UInt8]] {
            var batches = ControlConsumer.Batches()
            consumer.take(into: &batches)
            var found: [[UInt8]] = []
            batches.forEach { bytes, _ in found.append(bytes.copied) }
            return found
        }

        var drops: [DropReason: UInt64] { plane.engine.totals().drops }
    }

    private static func long(_ id: [UInt8]) -> [UInt8] {
        [0xC3, 0, 0, 0, 1, UInt8(id.count)] + id + KindSamples.filler(60 - id.count)
    }

    private static func ours() -> [UInt8] { [0x43] + tags.makeID() + KindSamples.filler(47) }
    private static func call() -> [UInt8] { long(ConnectionTags.makeCall(tags.call)) }
    private static func stranger() -> [UInt8] { long(KindSamples.filler(16)) }
    private static func reset() -> [UInt8] { [0x43, 0x51] + KindSamples.filler(64) }

    @Test("of one merged buffer, what bears a tag is taken, and a stranger's is dropped as such")
    func apart() throws {
        var bench = try Bench()
        let (ours, call, reset) = (Self.ours(), Self.call(), Self.reset())
        bench.send([Self.stranger(), call, ours, Self.stranger(), reset])
        #expect(bench.taken() == [ours, reset, call])
        #expect(bench.drops == [.controlNotTagged: 2])
        #expect(bench.plane.engine.totals().handedOver == [.control: 3])
    }

    @Test("strangers are taken where somebody can't make a tag, from when that is said until it isn't")
    func answersStrangers() throws {
        var bench = try Bench(answersStrangers: true)
        bench.send([Self.stranger()])
        #expect(bench.taken().count == 1)
        bench.gate.setAnswersStrangers(false)
        bench.send([Self.stranger()])
        #expect(bench.taken().isEmpty)
    }

    @Test("one source's calls end at its limit, others' go on, and the next second is another")
    func callsOfOne() throws {
        var bench = try Bench()
        for _ in 0..<1000 {
            bench.send([Self.call()])
            _ = bench.taken()
        }
        #expect(bench.plane.engine.totals().handedOver == [.control: 13], "50 a second, in quarters")
        #expect(bench.drops == [.controlOverLimit: 987])
        bench.send([Self.call()], from: 0xC000_0202)
        #expect(bench.taken().count == 1)
        bench.send([Self.call()], at: End.start.advanced(by: .seconds(1)))
        #expect(bench.taken().count == 1)
    }

    @Test("neither calls nor resets take room from what bears a tag of ours")
    func queuesApart() throws {
        var bench = try Bench(answersStrangers: true)
        for source in UInt32(1)...1000 { bench.send([Self.call(), Self.stranger(), Self.reset()], from: source) }
        let ours = (0..<200).map { _ in Self.ours() }
        for datagram in ours { bench.send([datagram]) }
        let taken = bench.taken()
        #expect(Array(taken.prefix(200)) == ours)
        #expect(taken.count == 200 + 2 * ControlConsumer.strangers)
    }

    @Test("a forgotten consumer makes way, and its gate goes with it")
    func forgotten() throws {
        let plane = DataPlane(engine: try End(.right).engine())
        let gate = ControlGate(Self.tags, answersStrangers: false)
        var first: ControlConsumer? = try plane.streams.consumeControl(by: gate)
        #expect(throws: StreamError.taken(.control)) { try plane.streams.consumeControl(by: nil) }
        withExtendedLifetime(first) {}
        first = nil
        _ = try plane.streams.consumeControl(by: nil)
    }
}

@Suite("Limits by source")
struct SourceLimiterTests {
    private let start = Instant(nanoseconds: 1_000_000_000_000)

    @Test("who has just come is let in beside a thousand who come all the time")
    func newcomers() {
        var limiter = SourceLimiter(perSource: 50, total: 8000)
        var refused = 0
        for round in 0..<100 {
            let now = start.advanced(by: .milliseconds(10 * round))
            for source in UInt32(0)..<1000 { for _ in 0..<5 { _ = limiter.admits(IPAddress(v4: source), at: now) } }
            if !limiter.admits(IPAddress(v4: 0x0A00_0000 | UInt32(round)), at: now) { refused += 1 }
        }
        // In each quarter of a second at most 1000 + 25 come for the first time, and 2000 may. One in some thousand
        // shares all its places with others.
        #expect(refused <= 1)
    }

    @Test("an IPv6 network of 64 bits is one source")
    func networks() {
        var limiter = SourceLimiter(perSource: 4, total: 8000)
        var admitted = 0
        for host in UInt64(0)..<100 where limiter.admits(IPAddress(v6: 0x2001_0DB8_0000_0001, host), at: start) {
            admitted += 1
        }
        #expect(admitted == 1)
        let isAnother = limiter.admits(IPAddress(v6: 0x2001_0DB8_0000_0002, 1), at: start)
        #expect(isAnother)
        #expect(SourceAddress(IPAddress(v4: 7)) != SourceAddress(IPAddress(v6: 7, 0)))
    }

    @Test("all together do no more than all may, whatever they are")
    func total() {
        var limiter = SourceLimiter(perSource: 50, total: 8000)
        var admitted = 0
        for host in UInt32(0)..<100_000 where limiter.admits(IPAddress(v4: host), at: start) { admitted += 1 }
        #expect(admitted <= 2000)
        #expect(admitted > 1500)
    }
}
