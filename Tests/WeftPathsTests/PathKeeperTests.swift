// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftPaths
import WeftTestSupport

@testable import Weft

/// Two engines with what follows their peers, and datagrams that a test carries itself.
@Suite("Paths on an engine")
struct PathKeeperTests {
    /// One end: an engine with one network, whose peer is said to be somewhere.
    final class End {
        let engine: Engine
        private var keeper: PathKeeper
        private var lane: Lane
        private var batch = ToUnderlay(room: 0)
        let address: Endpoint

        init(at address: Endpoint, peerAt peer: Endpoint?, _ answering: PathRules.Answering = .always) throws {
            self.address = address
            engine = try Engine(EngineConfiguration(lanes: 3))
            try engine.add(NetworkConfiguration(.vni(7), endpoint: peer, routes: []))
            keeper = try PathKeeper(engine, .fixed(1400))
            lane = try Lane(engine)
            keeper.setPeers([.vni(7): PathRules(endpoint: peer, answering: answering)])
        }

        func install(send: PacketKey, receive: PacketKey) throws {
            try engine.install(
                SAPair(
                    receiveSPI: 1, receiveKey: receive, transmitSPI: 1, transmitKey: send, expiry: .distantFuture),
                for: .vni(7), at: Instant(nanoseconds: 1))
        }

        /// What it sends now, and where to.
        func work(at now: Instant, keepAlive: Bool = false) throws -> [(bytes: [UInt8], to: AddressPair)] {
            batch.removeAll()
            lane.refresh()
            if keepAlive {
                try engine.requestKeepAlive(of: .vni(7))
                lane.keepAlives(into: &batch, at: now)
            }
            keeper.work(into: &batch, at: now)
            return batch.sent()
        }

        func receive(_ bytes: [UInt8], from source: Endpoint, to local: IPAddress? = nil, at now: Instant) {
            var arrived = FromUnderlay()
            var memory = arrived.arena.mutableBytes
            // Safe: a UInt8 has no padding.
            unsafe memory.copy(bytes.span.bytes, to: 0)
            arrived.buffers.append(
                .init(place: PacketRange(offset: 0, count: bytes.count), source: source, local: local))
            var opened = ToOverlay()
            lane.refresh()
            lane.decapsulate(&arrived, into: &opened, at: now)
        }

        var endpoint: Endpoint? { engine.networks().first?.endpoint }
        var localAddress: IPAddress? { engine.networks().first?.localAddress }
        var statistics: Statistics { engine.totals() }

        func suggest(_ place: AddressPair, at now: Instant) {
            batch.removeAll()
            keeper.suggest(place, for: .vni(7), by: .session, into: &batch, at: now)
        }

        var status: PathStatus? { keeper.status(of: .vni(7), at: Instant(nanoseconds: 1)) }
    }

    private static let one = Endpoint(IPAddress(v4: 0xC000_0201), port: 6081)
    private static let two = Endpoint(IPAddress(v4: 0xC000_0202), port: 6081)
    private static let elsewhere = Endpoint(IPAddress(v4: 0xC633_6401), port: 1234)

    private func pair(_ answering: PathRules.Answering = .always) throws -> (End, End) {
        let ends = (
            try End(at: Self.one, peerAt: Self.two, answering), try End(at: Self.two, peerAt: Self.one, answering)
        )
        let keys = (try key(1), try key(2))
        try ends.0.install(send: keys.0, receive: keys.1)
        try ends.1.install(send: keys.1, receive: keys.0)
        return ends
    }

    private func key(_ number: UInt8) throws -> PacketKey {
        // Safe: a UInt8 has no padding.
        try unsafe PacketKey([UInt8](repeating: number, count: 16).span.bytes)
    }

    @Test(
        "a keep-alive from elsewhere is worth questions to where the peer was, then one there; its answer moves the endpoint"
    )
    func roaming() throws {
        let (one, two) = try pair()
        var now = Instant(nanoseconds: 1_000_000_000)
        let alive = try #require(try one.work(at: now, keepAlive: true).first)
        #expect(alive.bytes.count == Geneve.overhead)
        two.receive(alive.bytes, from: Self.elsewhere, to: Self.two.address, at: now)
        var targets: [Endpoint] = []
        for _ in 0..<40 {
            now = now.advanced(by: .milliseconds(50))
            for datagram in try two.work(at: now) {
                targets.append(datagram.to.remote)
                guard datagram.to.remote == Self.elsewhere else { continue }
                #expect(datagram.to.local == Self.two.address)
                #expect(datagram.bytes.count == Geneve.overhead + PathProbe.byteCount)
                one.receive(datagram.bytes, from: Self.two, at: now)
                let answers = try one.work(at: now)
                #expect(answers.map(\.to.remote) == [Self.two])
                for answer in answers { two.receive(answer.bytes, from: Self.elsewhere, at: now) }
            }
        }
        #expect(targets.prefix(3) == [Self.one, Self.one, Self.one] && targets.contains(Self.elsewhere))
        #expect(two.endpoint == Self.elsewhere && two.localAddress == Self.two.address)
        // Who agrees on keys hears of it, once.
        #expect(
            two.engine.activities(of: [.vni(7)]).first??.roamedTo == AddressPair(Self.elsewhere, from: Self.two.address)
        )
        #expect(two.engine.activities(of: [.vni(7)]).first??.roamedTo == nil)
        #expect(one.statistics.rxOutOfBand > 0 && two.statistics.txKeepAlives == two.statistics.txPackets)
    }

    @Test("a question from elsewhere is answered there and where the peer is known to be; one that comes twice isn't")
    func answers() throws {
        let (one, two) = try pair()
        var now = Instant(nanoseconds: 1_000_000_000)
        one.receive(try #require(try two.work(at: now, keepAlive: true).first).bytes, from: Self.elsewhere, at: now)
        now = now.advanced(by: .milliseconds(50))
        let question = try #require(try one.work(at: now).first)
        #expect(question.to.remote == Self.two)
        two.receive(question.bytes, from: Self.elsewhere, at: now)
        two.receive(question.bytes, from: Self.one, at: now)
        let answers = try two.work(at: now).filter { _ in true }
        #expect(answers.prefix(2).map(\.to.remote) == [Self.elsewhere, Self.one])
        // It counts from wherever it comes, and only once.
        one.receive(answers[1].bytes, from: Self.elsewhere, at: now)
        _ = try one.work(at: now)
        #expect(one.status?.lastAnswer == now)
        #expect(one.endpoint == Self.two)
    }

    @Test("what a peer that answers nothing suggests moves nothing, and its session everything")
    func never() throws {
        let (one, two) = try pair(.never)
        let now = Instant(nanoseconds: 1_000_000_000)
        let alive = try #require(try one.work(at: now, keepAlive: true).first)
        two.receive(alive.bytes, from: Self.elsewhere, at: now)
        for step in 0..<100 {
            #expect(try two.work(at: now.advanced(by: .milliseconds(50 * step))).isEmpty)
        }
        #expect(two.endpoint == Self.one)
        two.suggest(AddressPair(Self.elsewhere, from: Self.two.address), at: now)
        #expect(two.endpoint == Self.elsewhere && two.localAddress == Self.two.address)
        #expect(two.engine.activities(of: [.vni(7)]).first??.roamedTo == nil)
    }

    @Test("without a key nothing is asked, and nothing is held against the path")
    func noKeys() throws {
        let end = try End(at: Self.one, peerAt: Self.two)
        let now = Instant(nanoseconds: 1_000_000_000)
        end.suggest(AddressPair(Self.elsewhere), at: now)
        for step in 0..<100 { #expect(try end.work(at: now.advanced(by: .milliseconds(50 * step))).isEmpty) }
        #expect(end.endpoint == Self.two && end.status?.isSilent == false)
    }

    @Test("a probe's bytes are those of docs/weft-1.md; any others are read without a trap")
    func wire() throws {
        var arena = PacketArena(capacity: 64)
        var memory = arena.mutableBytes
        PathProbe(.question, token: 0x0102_0304_0506_0708, length: 0x1234).write(into: &memory, at: 2)
        let bytes = arena.bytes.extracting(2..<18).copied
        #expect(bytes == [1, 0, 0x12, 0x34, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8])
        var generator = SeededGenerator.fresh()
        for _ in 0..<10_000 {
            let text = (0..<Int.random(in: 0...40, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            // Safe: a UInt8 has no padding.
            let probe = unsafe PathProbe(text.span.bytes)
            #expect(
                (probe != nil) == (text.count >= PathProbe.byteCount && (text[0] == 1 || text[0] == 2)), "\(text)")
        }
    }
}

extension ToUnderlay {
    /// Each datagram of each run, and where it goes.
    fileprivate func sent() -> [(bytes: [UInt8], to: AddressPair)] {
        (0..<runs.count).flatMap { index in
            let run = runs[index]
            return stride(from: 0, to: run.place.count, by: run.segmentSize).map { start in
                let size = min(run.segmentSize, run.place.count - start)
                let offset = run.place.offset + start
                let bytes = (0..<size).map { arena.bytes.load(at: offset + $0, as: UInt8.self) }
                return (bytes, AddressPair(run.destination, from: run.local))
            }
        }
    }
}
