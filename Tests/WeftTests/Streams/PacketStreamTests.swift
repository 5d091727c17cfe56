// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import Testing
import WeftTestSupport

@testable import Weft

@Suite("Streams", .serialized)
struct PacketStreamTests {
    private static let source = Endpoint(IPAddress(v4: 0xC000_0201), port: 1234)

    /// A data plane without traffic, and an end to send batches into.
    private struct Bench: ~Copyable {
        let plane: DataPlane
        let transport: UnderlayTransport
        var end: FromUnderlayEnd
        let sent: RecordingSender

        init() throws {
            let sender = RecordingSender()
            let plane = DataPlane(engine: try End(.right).engine())
            let transport = plane.add(underlay: sender, name: "test")
            end = try transport.makeEnd(overlay: MemoryOverlay(wake: WakeEvent()))
            (self.plane, self.transport, sent) = (plane, transport, sender)
        }

        mutating func send(_ datagrams: [[UInt8]]) {
            var batch = FromUnderlay(capacity: datagrams.count, slotSize: 2048)
            for (index, datagram) in datagrams.enumerated() {
                var room = batch.arena.mutableBytes
                unsafe room.copy(datagram.span.bytes, to: index * 2048)
                batch.buffers.append(
                    .init(place: PacketRange(offset: index * 2048, count: datagram.count), source: source))
            }
            #expect(end.send(&batch, at: End.start))
        }
    }

    @Test("each kind goes to its consumer, with where it came from and by what; data to the engine")
    func kinds() throws {
        var bench = try Bench()
        let kinds: [PacketKind] = [.control, .stun, .disco, .wireGuard, .unknown]
        let consumers = try kinds.map { try bench.plane.streams.consume($0) }
        bench.send([
            KindSamples.longHeader, KindSamples.stun, KindSamples.envelope(0x7A11, vni: 99, KindSamples.disco),
            KindSamples.data, KindSamples.wireGuard(1), KindSamples.unknown, KindSamples.shortHeader,
        ])
        let wake = try WakeEvent()
        let wanted: [[[UInt8]]] = [
            [KindSamples.longHeader, KindSamples.shortHeader], [KindSamples.stun],
            [KindSamples.envelope(0x7A11, vni: 99, KindSamples.disco)], [KindSamples.wireGuard(1)],
            [KindSamples.unknown],
        ]
        for (consumer, wanted) in zip(consumers, wanted) {
            var batch = consumer.makeBatch()
            try consumer.receive(into: &batch, timeout: 1000, wake: wake)
            var found: [[UInt8]] = []
            for index in 0..<batch.datagrams.count {
                found.append(batch[index].copied)
                let datagram = batch.datagrams[index]
                #expect(datagram.source == Self.source && datagram.transport == bench.transport.id)
                #expect(datagram.identification.kind == consumer.kind)
                if consumer.kind == .disco {
                    #expect(datagram.identification.encapsulation == .geneve(vni: 99))
                    #expect(datagram.identification.payloadOffset == 8)
                }
            }
            #expect(found == wanted)
        }
        let totals = bench.plane.engine.totals()
        #expect(totals.handedOver == [.control: 2, .stun: 1, .disco: 1, .wireGuard: 1, .unknown: 1])
        #expect(totals.drops == [.noReceiveKey: 1])
        #expect(totals.fromUnderlay == 7)
    }

    @Test("a missing or slow consumer loses its own packets, under its own reason, and nobody else's")
    func slow() throws {
        var bench = try Bench()
        let stun = try bench.plane.streams.consume(.stun, capacity: 4)
        let control = try bench.plane.streams.consume(.control)
        for _ in 0..<10 { bench.send([KindSamples.stun, KindSamples.longHeader, KindSamples.disco]) }
        let totals = bench.plane.engine.totals()
        #expect(totals.handedOver == [.stun: 4, .control: 10])
        #expect(totals.drops == [.stunNotTaken: 6, .discoNotTaken: 10])
        #expect(totals.fromUnderlay == 30)
        // Room comes back once it takes what waits.
        var batch = stun.makeBatch()
        stun.take(into: &batch)
        #expect(batch.datagrams.count == 4)
        bench.send([KindSamples.stun])
        stun.take(into: &batch)
        #expect(batch.datagrams.count == 1)
        control.take(into: &batch)
        #expect(batch.datagrams.count == 10)
    }

    @Test("bytes are bounded as well as datagrams")
    func room() throws {
        var bench = try Bench()
        let control = try bench.plane.streams.consume(.control, room: 3000)
        bench.send([[UInt8]](repeating: KindSamples.longHeader, count: 5))
        #expect(bench.plane.engine.totals().drops == [.controlNotTaken: 3])
        withExtendedLifetime(control) {}
    }

    @Test("a kind has one consumer at a time; closing or forgetting it makes way; data has none")
    func comeAndGo() throws {
        var bench = try Bench()
        let streams = bench.plane.streams
        #expect(throws: StreamError.engineTakesData) { try streams.consume(.data) }
        var first: StreamConsumer? = try streams.consume(.stun)
        #expect(throws: StreamError.taken(.stun)) { try streams.consume(.stun) }
        bench.send([KindSamples.stun])
        first?.close()
        first?.close()
        var batch = ToConsumer()
        try first?.receive(into: &batch, timeout: 10_000, wake: WakeEvent())
        #expect(batch.datagrams.count == 0)
        let second = try streams.consume(.stun)
        first = nil
        bench.send([KindSamples.stun])
        try second.receive(into: &batch, timeout: 1000, wake: WakeEvent())
        #expect(batch.datagrams.count == 1)
    }

    private final class Counted: Sendable {
        let count = Atomic(0)
    }

    @Test("a consumer that waits is woken by a packet and by closing")
    func wakes() throws {
        var bench = try Bench()
        let stun = try bench.plane.streams.consume(.stun)
        let took = Counted()
        let waiter = try WorkerThread(name: "consumer") {
            var batch = stun.makeBatch()
            for _ in 0..<2 {
                try? stun.receive(into: &batch, timeout: 120_000, wake: WakeEvent())
                took.count.add(batch.datagrams.count, ordering: .relaxed)
            }
        }
        usleep(50_000)
        let clock = ContinuousClock()
        let start = clock.now
        bench.send([KindSamples.stun])
        while took.count.load(ordering: .relaxed) == 0, clock.now - start < .seconds(60) { usleep(1_000) }
        stun.close()
        waiter.join()
        #expect(clock.now - start < .seconds(60))
        #expect(took.count.load(ordering: .relaxed) == 1)
    }

    @Test("what is sent straight to a transport goes to it alone, until it is removed")
    func direct() throws {
        let bench = try Bench()
        let other = RecordingSender()
        let second = bench.plane.add(underlay: other, name: "second")
        let datagram = KindSamples.stun
        #expect(unsafe bench.plane.send(datagram.span.bytes, to: Self.source, by: second.id) == nil)
        #expect(other.sent == [.init(bytes: datagram, destination: Self.source)])
        #expect(bench.sent.sent.isEmpty)
        #expect(second.directTraffic == DirectTraffic(sent: 1, refused: 0))
        bench.plane.remove(second.id)
        #expect(unsafe bench.plane.send(datagram.span.bytes, to: Self.source, by: second.id) == .removed)
        #expect(unsafe second.send(datagram.span.bytes, to: Self.source) == .removed)
        #expect(bench.plane.underlays.map(\.id) == [bench.transport.id])
        // Too long for any datagram, or none at all.
        let long = [UInt8](repeating: 0, count: ToUnderlay.largestRun + 1)
        #expect(unsafe bench.transport.send(long.span.bytes, to: Self.source) == .tooLong)
        let none: [UInt8] = []
        #expect(unsafe bench.transport.send(none.span.bytes, to: Self.source) == .tooLong)
    }

    @Test("the end of a removed transport takes nothing")
    func removed() throws {
        var bench = try Bench()
        bench.plane.remove(bench.transport.id)
        var batch = FromUnderlay()
        batch.buffers.append(.init(place: PacketRange(offset: 0, count: 9), source: Self.source))
        #expect(!bench.end.send(&batch, at: End.start))
        #expect(bench.plane.engine.totals().fromUnderlay == 0)
    }
}

/// Keeps what is sent to it.
final class RecordingSender: UnderlaySender {
    struct Sent: Hashable {
        let bytes: [UInt8]
        let destination: Endpoint
    }

    private let kept = Mutex<[Sent]>([])

    var sent: [Sent] { kept.withLock { $0 } }

    func send(_ batch: borrowing ToUnderlay, failed: (_ run: Int, _ datagrams: Int, SendFailure) -> Void) {
        for index in 0..<batch.runs.count {
            let run = batch.runs[index]
            let sent = Sent(bytes: batch.arena.bytes.extracting(run.place.range).copied, destination: run.destination)
            kept.withLock { $0.append(sent) }
        }
    }

    func pathMTU(to endpoint: Endpoint) -> Int? { nil }
}
