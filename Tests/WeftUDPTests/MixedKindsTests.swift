// SPDX-License-Identifier: Apache-2.0
import Foundation
import Synchronization
import Testing
import WeftTestSupport

@testable import Weft
@testable import WeftUDP

/// All kinds on one socket, mixed within the kernel's own buffers, through the pumps.
@Suite("Mixed kinds on a socket", .serialized)
struct MixedKindsTests {
    private static let rounds = 3_000
    /// Bytes of an inner packet, and of every datagram.
    private static let inner = 400
    private static let datagram = inner + Geneve.overhead
    private static let dataPerRound = 11
    private static let kinds: [PacketKind] = [.control, .stun, .disco, .wireGuard]
    private static let time = Instant(nanoseconds: 1)

    /// An overlay that counts what is delivered, and has nothing to send.
    private final class Sink: OverlayReceiver, OverlaySender {
        let delivered = Atomic(0)
        private let wake: WakeEvent

        init(_ wake: WakeEvent) { self.wake = wake }

        func receive(into batch: inout FromOverlay, timeout: Int32) throws(TransportError) {
            _ = try wake.wait(for: -1, events: 0, timeout: timeout)
        }

        func send(
            _ packets: borrowing ToOverlay, in arena: borrowing PacketArena,
            failed: (_ group: Int, _ packets: Int, SendFailure) -> Void
        ) { delivered.add(packets.packets.count, ordering: .relaxed) }

        func send(_ packet: RawSpan) -> SendFailure? { nil }
    }

    private static func engine(_ ours: String, _ theirs: String, _ send: UInt8, _ receive: UInt8) throws -> Engine {
        let engine = try Engine(EngineConfiguration(lanes: 3))
        let route = Route(source: try #require(Prefix(ours)), destination: try #require(Prefix(theirs)))
        try engine.add(NetworkConfiguration(vni: 7, endpoint: Endpoint("127.0.0.1:9"), routes: [route]))
        func key(_ byte: UInt8) throws -> PacketKey { try PacketKey([UInt8](repeating: byte, count: 16)) }
        try engine.install(
            SAPair(
                receiveSPI: 1, receiveKey: try key(receive), transmitSPI: 1, transmitKey: try key(send),
                expiry: .distantFuture), for: .vni(7), at: time)
        return engine
    }

    /// A datagram of a kind, of everybody's length, with a number in it.
    private static func other(_ kind: PacketKind, _ number: Int) -> [UInt8] {
        let head: [UInt8] =
            switch kind {
            case .control: [0xC0, 0, 0, 0, 1, 8]
            case .stun:
                [0, 1, UInt8((datagram - 20) >> 8), UInt8((datagram - 20) & 0xFF), 0x21, 0x12, 0xA4, 0x42]
            case .disco: [0x54, 0x53, 0xF0, 0x9F, 0x92, 0xAC]
            case .wireGuard: [4, 0, 0, 0]
            case .data, .unknown: [0, 0x2A]
            }
        var bytes = head + [UInt8](repeating: kind.rawValue, count: datagram - head.count)
        for index in 0..<4 { bytes[datagram - 4 + index] = UInt8(number >> (index * 8) & 0xFF) }
        return bytes
    }

    private static func number(of bytes: RawSpan) -> Int {
        (0..<4).reduce(0) { $0 | Int(bytes.load(at: datagram - 4 + $1, as: UInt8.self)) << ($1 * 8) }
    }

    /// Seals and sends rounds of data with one of each other kind among them, in one piece each.
    private static func send(to port: UInt16, _ receiver: Engine) throws {
        let socket = try UDPSocket(port: 0)
        defer { socket.close() }
        let sender = UDPSender(socket, wake: try WakeEvent())
        let target = try #require(Endpoint("127.0.0.1:\(port)"))
        var lane = try Lane(try engine("10.1.0.0/16", "10.2.0.0/16", 1, 2))
        var generator = SeededGenerator.fresh()
        var packets = FromOverlay()
        var sealed = ToUnderlay()
        var mixed = ToUnderlay()
        for round in 0..<rounds {
            packets.removeAll()
            for _ in 0..<dataPerRound {
                packets.append { (space: inout MutableRawSpan) in
                    for (index, word) in [
                        0x4500_0000 | UInt32(inner), 0x4000, 0x4011_0000, 0x0A01_0005, 0x0A02_0006,
                    ].enumerated() { space.store(word, at: index * 4) }
                    return inner
                }
            }
            sealed.removeAll()
            lane.encapsulate(&packets, into: &sealed, at: time)
            var order = kinds.map { other($0, round) }
            for index in 0..<dataPerRound {
                let start = sealed.runs[0].place.offset + index * datagram
                let bytes = sealed.arena.bytes.extracting(start..<start + datagram).copied
                order.insert(bytes, at: .random(in: 0...order.count, using: &generator))
            }
            mixed.removeAll()
            for bytes in order { unsafe mixed.append(bytes.span.bytes, to: target) }
            #expect(mixed.runs.count == 1)
            sender.send(mixed) { _, _, failure in Issue.record("\(failure)") }
            // What the socket can't hold would be lost: no more is on its way than it holds.
            let all = UInt64((round + 1) * order.count)
            while receiver.totals().fromUnderlay + 2000 < all { usleep(50) }
        }
    }

    private final class Books: Sendable {
        let isThrough = Atomic(false)
        let isDone = Atomic(false)
        let taken = Mutex<[PacketKind: Int]>([:])
    }

    @Test("no packet lands in another's stream, and a consumer that sleeps for 5 s loses its own only")
    func mixed() throws {
        let engine = try Self.engine("10.2.0.0/16", "10.1.0.0/16", 2, 1)
        let socket = try UDPSocket(port: 0)
        defer { socket.close() }
        let wake = try WakeEvent()
        let sink = Sink(wake)
        let datapath = PumpedDatapath(
            engine: engine,
            queues: [
                .init(
                    fromOverlay: sink, toOverlay: sink, fromUnderlay: UDPReceiver(socket, wake: wake),
                    toUnderlay: UDPSender(socket, wake: wake))
            ], timerSender: UDPSender(socket, wake: wake), wake: wake, clock: { Self.time })
        let books = Books()
        let consumers = try Self.kinds.map {
            try datapath.plane.streams.consume($0, capacity: $0 == .stun ? 500 : 4096, room: 4 << 20)
        }
        let clock = ContinuousClock()
        let start = clock.now
        try Threads.run(2 + consumers.count) { number in
            switch number {
            case 0: try datapath.run()
            case 1:
                defer {
                    books.isThrough.store(true, ordering: .releasing)
                    datapath.close()
                    books.isDone.store(true, ordering: .releasing)
                }
                try Self.send(to: socket.port, engine)
                let all = UInt64(Self.rounds * (Self.dataPerRound + Self.kinds.count))
                for _ in 0..<500 where engine.totals().fromUnderlay < all { usleep(10_000) }
                // Everything but the sleeper's is through while it still sleeps.
                #expect(engine.totals().rxPackets == UInt64(Self.rounds * Self.dataPerRound))
                books.isThrough.store(true, ordering: .releasing)
                usleep(500_000)
                while clock.now - start < .milliseconds(5500) { usleep(10_000) }
            default:
                let consumer = consumers[number - 2]
                let sleeps = consumer.kind == .stun
                while sleeps, clock.now - start < .seconds(5) || !books.isThrough.load(ordering: .acquiring) {
                    usleep(10_000)
                }
                var batch = consumer.makeBatch()
                var next = 0
                while !books.isDone.load(ordering: .acquiring) || batch.datagrams.count > 0 {
                    try consumer.receive(into: &batch, timeout: 50, wake: wake)
                    for index in 0..<batch.datagrams.count {
                        let bytes = batch[index]
                        let isOwn =
                            batch.datagrams[index].identification.kind == consumer.kind
                            && bytes.byteCount == Self.datagram
                            && bytes.load(at: 200, as: UInt8.self) == consumer.kind.rawValue
                        if !isOwn { Issue.record("another's packet in the stream of \(consumer.kind)") }
                        if Self.number(of: bytes) < next { Issue.record("\(consumer.kind): out of order") }
                        next = Self.number(of: bytes) + 1
                    }
                    let count = batch.datagrams.count
                    books.taken.withLock { $0[consumer.kind, default: 0] += count }
                }
            }
        }
        let totals = engine.totals()
        let taken = books.taken.withLock { $0 }
        for kind in Self.kinds where kind != .stun { #expect(taken[kind] == Self.rounds, "\(kind)") }
        // Of the sleeper's, what found room.
        let lost = totals.drops[.stunNotTaken] ?? 0
        #expect(lost > 0 && taken[.stun] == Self.rounds - Int(lost), "\(taken), \(totals.drops)")
        #expect(totals.drops == [.stunNotTaken: lost])
        #expect(sink.delivered.load(ordering: .relaxed) == Self.rounds * Self.dataPerRound)
        #expect(totals.fromUnderlay == UInt64(Self.rounds * (Self.dataPerRound + Self.kinds.count)))
    }
}
