// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import Testing
import WeftTestSupport

@testable import Weft

@Suite("Transports and consumers that come and go", .serialized)
struct TransportChurnTests {
    private static let rounds = 10_000
    private static let source = End(.right).remote

    /// What the threads of a test have done.
    private final class Books: Sendable {
        let sent = Atomic<UInt64>(0)
        let sentFromOverlays = Atomic<UInt64>(0)
        /// Probes that their senders think were taken, and that transports got.
        let probes = Atomic<UInt64>(0)
        let direct = Atomic<UInt64>(0)
        let consumed = Atomic<UInt64>(0)
        let alive = Atomic(0)
        let isDone = Atomic(false)
    }

    /// A transport that counts what it gets, and itself.
    private final class CountedSender: UnderlaySender {
        let books: Books

        init(_ books: Books) {
            self.books = books
            books.alive.add(1, ordering: .relaxed)
        }

        deinit { books.alive.subtract(1, ordering: .relaxed) }

        func send(_ batch: borrowing ToUnderlay, failed: (_ run: Int, _ datagrams: Int, SendFailure) -> Void) {
            books.direct.add(UInt64(batch.runs.count), ordering: .relaxed)
        }

        func pathMTU(to endpoint: Endpoint) -> Int? { nil }
    }

    private static func fill(_ batch: inout FromUnderlay, _ datagrams: [[UInt8]]) {
        batch.removeAll()
        let slotSize = batch.slotSize
        for (index, datagram) in datagrams.enumerated() {
            var room = batch.arena.mutableBytes
            unsafe room.copy(datagram.span.bytes, to: index * slotSize)
            batch.buffers.append(
                .init(place: PacketRange(offset: index * slotSize, count: datagram.count), source: source))
        }
    }

    /// An overlay transport that sends one packet, gets one past routing, and goes.
    private static func comeAndGo(_ overlay: MemoryOverlay, through plane: DataPlane, _ books: Books) throws {
        let transport = plane.add(overlay: overlay, name: "overlay")
        var end = try transport.makeEnd(underlay: RecordingSender(), overlay: overlay)
        let packet = Packets.udp(from: .right)
        var batch = FromOverlay()
        func fill() {
            batch.removeAll()
            batch.append { (space: inout MutableRawSpan) in
                unsafe space.copy(packet.span.bytes, to: 0)
                return packet.count
            }
        }
        fill()
        if end.send(&batch, at: End.start) { books.sentFromOverlays.add(1, ordering: .relaxed) }
        if unsafe plane.send(packet.span.bytes, by: transport.id) != nil { Issue.record("refused") }
        plane.remove(transport.id)
        fill()
        if end.send(&batch, at: End.start) { Issue.record("taken after it was removed") }
        if unsafe plane.send(packet.span.bytes, by: transport.id) != .removed { Issue.record("sent when removed") }
    }

    @Test("10,000 transports added and removed under traffic: nothing leaks or hangs, and the books balance")
    func transports() throws {
        let engine = try End(.right).engine()
        let plane = DataPlane(engine: engine)
        let books = Books()
        // Sealed once, and replayed ever after: the engine has as much to do.
        let data = try Crafted(from: .left, Packets.udp(from: .left)).sealed()
        let datagrams = [
            data, KindSamples.longHeader, KindSamples.stun, data, KindSamples.disco, KindSamples.wireGuard(2),
            KindSamples.unknown, data,
        ]
        let overlay = try MemoryOverlay(wake: WakeEvent(), limit: 1 << 20)
        try Threads.run(5) { number in
            switch number {
            case 0, 1:
                // Each adds and removes transports, and sends a batch through each.
                var batch = FromUnderlay(capacity: datagrams.count, slotSize: 2048)
                for round in 0..<Self.rounds / 2 {
                    let transport = plane.add(underlay: CountedSender(books), name: "\(number)-\(round)")
                    var end = try transport.makeEnd(overlay: overlay)
                    Self.fill(&batch, datagrams)
                    if end.send(&batch, at: End.start) { books.sent.add(UInt64(datagrams.count), ordering: .relaxed) }
                    plane.remove(transport.id)
                    Self.fill(&batch, datagrams)
                    if end.send(&batch, at: End.start) { Issue.record("taken after it was removed") }
                    try Self.comeAndGo(overlay, through: plane, books)
                }
                if number == 0 { books.isDone.store(true, ordering: .releasing) }
            case 2:
                // A transport that stays is not disturbed.
                let transport = plane.add(underlay: CountedSender(books), name: "stays")
                var end = try transport.makeEnd(overlay: overlay)
                var batch = FromUnderlay(capacity: datagrams.count, slotSize: 2048)
                while !books.isDone.load(ordering: .acquiring) {
                    Self.fill(&batch, datagrams)
                    if end.send(&batch, at: End.start) { books.sent.add(UInt64(datagrams.count), ordering: .relaxed) }
                }
                plane.remove(transport.id)
            case 3:
                // Probes, straight to whoever is there at the moment.
                let probe = KindSamples.stun
                while !books.isDone.load(ordering: .acquiring) {
                    for transport in plane.underlays {
                        let failure = unsafe plane.send(probe.span.bytes, to: Self.source, by: transport.id)
                        if failure == nil { books.probes.add(1, ordering: .relaxed) }
                    }
                    Threads.yield()
                }
            default:
                // Consumers come and go as well.
                var batch = ToConsumer()
                while !books.isDone.load(ordering: .acquiring) {
                    for kind in [PacketKind.control, .stun, .disco, .wireGuard] {
                        let consumer = try plane.streams.consume(kind)
                        Threads.yield()
                        consumer.take(into: &batch)
                        for index in 0..<batch.datagrams.count {
                            if batch.datagrams[index].identification.kind != kind {
                                Issue.record("in another's stream")
                            }
                        }
                        books.consumed.add(UInt64(batch.datagrams.count), ordering: .relaxed)
                        consumer.close()
                    }
                }
            }
        }
        let totals = engine.totals()
        #expect(totals.fromUnderlay == books.sent.load(ordering: .relaxed))
        #expect(books.sent.load(ordering: .relaxed) >= UInt64(Self.rounds * datagrams.count))
        #expect(totals.rxPackets == 1)
        #expect(totals.fromOverlay == books.sentFromOverlays.load(ordering: .relaxed))
        #expect(totals.toUnderlay == totals.fromOverlay && totals.fromOverlay == UInt64(Self.rounds))
        #expect(totals.handedOver.values.reduce(0, +) >= books.consumed.load(ordering: .relaxed))
        #expect(books.direct.load(ordering: .relaxed) == books.probes.load(ordering: .relaxed))
        #expect(plane.underlays.isEmpty && plane.overlays.isEmpty)
        #expect(books.alive.load(ordering: .relaxed) == 0)
        // Every lane came back.
        #expect(engine.state.withLock { $0.freeLanes.count } == engine.configuration.lanes)
    }
}
