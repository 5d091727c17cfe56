// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftControl
import WeftQUIC

@Suite("The key plane")
struct KeyPlaneTests {
    @Test("An initiator gets a VNI and keys that both ends have", arguments: Suite.allCases)
    func grant(suite: Suite) throws {
        let plane = try KeyPlane()
        let initiator = try plane.add(suites: (suite, suite))
        plane.ask(initiator, for: "10.9.1.1")
        let grant = try #require(initiator.grants.first)
        #expect(grant.vni == 1)
        let network = try #require(plane.network(grant.vni))
        #expect(network.endpoint == initiator.address)
        #expect(network.routes.map(\.destination) == [KeyPlane.prefix("10.9.1.1/32")])
        #expect(network.transmit?.spi == grant.keys.receiveSPI)
        #expect(network.receive.map(\.spi) == [grant.keys.transmitSPI])
        // Bit 30 is the role of the end that receives with the SPI.
        #expect(grant.keys.receiveSPI >> 30 == 0 && grant.keys.transmitSPI >> 30 == 1)
        try grant.add(to: initiator.engine, prefixes: [KeyPlane.prefix("10.0.0.0/8")])
        try expectPassage(from: initiator.engine, "10.9.1.1", to: plane.engine, "10.3.2.1")
        try expectPassage(from: plane.engine, "10.3.2.1", to: initiator.engine, "10.9.1.1")
    }

    @Test("Outer headers are marked where both ends said by weft/1 that they carry marks of congestion inwards")
    func ecn() throws {
        for (speaks, mode) in [(PeerProtocol.weft, ECNMode.normal), (.icx, .compatibility)] {
            let plane = try KeyPlane()
            let initiator = try plane.add(speaks: speaks)
            plane.ask(initiator, for: "10.9.1.1")
            let grant = try #require(initiator.grants.first)
            try grant.add(to: initiator.engine, prefixes: [KeyPlane.prefix("10.0.0.0/8")])
            #expect(plane.network(grant.vni)?.ecn == mode)
            #expect(initiator.engine.networks().map(\.ecn) == [mode])
        }
    }

    @Test("The engine has the network before the initiator reads of it")
    func order() throws {
        let plane = try KeyPlane()
        let initiator = try plane.add()
        var seen: [Bool] = []
        plane.passes = { _ in
            seen.append(plane.engine.networks().first?.transmit != nil)
            return true
        }
        plane.ask(initiator, for: "10.9.1.1")
        // All but the handshake's datagrams left with the network in place; the grant is among the last.
        #expect(seen.last == true && initiator.grants.count == 1)
    }

    @Test("A thousand requests at once, 256 of them under way at a time, and then 200 a second")
    func atOnce() throws {
        let plane = try KeyPlane()
        let initiator = try plane.add()
        for number in 0..<1000 {
            _ = initiator.requester.request(IPAddress(v4: 0x0A09_1000 + UInt32(number)), at: plane.now)
        }
        plane.run(for: .seconds(4))
        #expect(Set(initiator.grants.map(\.vni)) == Set(1...1000))
        #expect(Set(initiator.grants.map(\.overlayAddress)).count == 1000)
        #expect(plane.engine.networks().count == 1000)
        #expect(try plane.status(of: initiator).networks == 1000)
    }

    @Test("A released VNI's network is gone at once; the VNI waits until none of its keys can live")
    func release() throws {
        let plane = try KeyPlane(firstVNI: 0xFF_FFFF)
        let initiator = try plane.add()
        plane.ask(initiator, for: "10.9.1.1")
        initiator.requester.release(0xFF_FFFF, at: plane.now)
        plane.settle()
        #expect(plane.engine.networks().isEmpty)
        var status = try plane.status(of: initiator)
        #expect(status.networks == 0 && status.quarantined == 1 && status.releases == 1)
        plane.ask(initiator, for: "10.9.1.1")
        #expect(initiator.grants.map(\.vni) == [0xFF_FFFF, 1])
        plane.run(for: KeyPlane.lifetime + .seconds(2), step: .seconds(1))
        status = try plane.status(of: initiator)
        // The second grant's keys ended meanwhile, and its network with them.
        #expect(status.networks == 0 && status.quarantined == 1)
        #expect(plane.engine.networks().isEmpty)
    }

    @Test("A session's end releases all that was granted on it", arguments: [true, false])
    func sessionEnd(saysSo: Bool) throws {
        let plane = try KeyPlane()
        let one = try plane.add()
        let other = try plane.add()
        for number in 1...5 { plane.ask(one, for: "10.9.1.\(number)") }
        plane.ask(other, for: "10.9.2.1")
        if saysSo {
            one.requester.close(at: plane.now)
        } else {
            one.isConnected = false
        }
        // Idle time begins with the keep-alive that isn't answered.
        plane.run(for: saysSo ? .milliseconds(50) : .seconds(45), step: .milliseconds(50))
        #expect(plane.engine.networks().map(\.vni) == other.grants.map(\.vni))
        let status = try plane.status(of: one)
        #expect(status.sessions == 0 && status.networks == 0 && status.quarantined == 5)
    }

    @Test("An initiator that lost its session is told which networks went with it")
    func lost() throws {
        let plane = try KeyPlane()
        let initiator = try plane.add()
        for number in 1...3 { plane.ask(initiator, for: "10.9.1.\(number)") }
        plane.responder.close(at: plane.now)
        plane.settle()
        #expect(initiator.lost == [[1, 2, 3]])
        plane.ask(initiator, for: "10.9.1.1")
        plane.run(for: .seconds(2))
        #expect(initiator.grants.map(\.vni) == [1, 2, 3, 4])
    }

    @Test("Who asks for its own address again gets the traffic there; the older network still opens what comes")
    func again() throws {
        let plane = try KeyPlane()
        let initiator = try plane.add()
        plane.ask(initiator, for: "10.9.1.1")
        plane.ask(initiator, for: "10.9.1.1")
        let grants = initiator.grants
        #expect(grants.map(\.vni) == [1, 2])
        let engines = try grants.map { grant in
            let engine = try Engine(EngineConfiguration(lanes: 1))
            try grant.add(to: engine, prefixes: [KeyPlane.prefix("10.0.0.0/8")])
            return engine
        }
        for engine in engines { try expectPassage(from: engine, "10.9.1.1", to: plane.engine, "10.3.2.1") }
        try expectPassage(from: plane.engine, "10.3.2.1", to: engines[1], "10.9.1.1")
        initiator.requester.release(2, at: plane.now)
        plane.settle()
        try expectPassage(from: plane.engine, "10.3.2.1", to: engines[0], "10.9.1.1")
    }

    @Test("A network whose keys end soon is renewed without a packet lost")
    func renewal() throws {
        let plane = try KeyPlane()
        let initiator = try plane.add()
        let prefixes = [KeyPlane.prefix("10.0.0.0/8")]
        plane.ask(initiator, for: "10.9.1.1")
        let old = try #require(initiator.grants.first)
        try old.add(to: initiator.engine, prefixes: prefixes)
        plane.ask(initiator, for: "10.9.1.1")
        // Between the answer and its use the older network carries what we send.
        try expectPassage(from: initiator.engine, "10.9.1.1", to: plane.engine, "10.3.2.1")
        let new = try #require(initiator.grants.last)
        #expect(throws: EngineError.self) { try new.add(to: initiator.engine, prefixes: prefixes) }
        try new.add(to: initiator.engine, prefixes: prefixes, replacing: old)
        try expectPassage(from: initiator.engine, "10.9.1.1", to: plane.engine, "10.3.2.1")
        try expectPassage(from: plane.engine, "10.3.2.1", to: initiator.engine, "10.9.1.1")
        #expect(initiator.engine.networks().map(\.statistics.txPackets) == [1, 1])
        try initiator.engine.remove(.vni(old.vni))
        initiator.requester.release(old.vni, at: plane.now)
        plane.settle()
        try expectPassage(from: initiator.engine, "10.9.1.1", to: plane.engine, "10.3.2.1")
        try expectPassage(from: plane.engine, "10.3.2.1", to: initiator.engine, "10.9.1.1")
    }

    @Test("An initiator's networks follow it to where its session goes")
    func moves() throws {
        let plane = try KeyPlane()
        let initiator = try plane.add()
        plane.ask(initiator, for: "10.9.1.1")
        initiator.address = Endpoint(IPAddress(v4: 0xC000_02FE), port: 7000)
        plane.ask(initiator, for: "10.9.1.2")
        plane.run(for: .seconds(1))
        #expect(plane.engine.networks().map(\.endpoint) == [initiator.address, initiator.address])
    }

    @Test("Initiators come, go and change; those that stay as they were keep their networks")
    func reload() throws {
        let plane = try KeyPlane()
        let stays = try plane.add()
        let goes = try plane.add()
        let shrinks = try plane.add()
        for (number, initiator) in [stays, goes, shrinks].enumerated() {
            plane.ask(initiator, for: "10.9.\(number).7")
        }
        #expect(plane.engine.networks().count == 3)
        plane.policies[2].prefixes = [KeyPlane.prefix("10.9.77.0/24")]
        plane.policies.remove(at: 1)
        plane.responder.setInitiators(plane.policies, at: plane.now)
        plane.settle()
        #expect(plane.engine.networks().map(\.vni) == [1])
        #expect(goes.lost == [[2]] && shrinks.lost == [[3]] && stays.lost.isEmpty)
        plane.ask(goes, for: "10.9.1.7")
        plane.ask(shrinks, for: "10.9.77.1")
        plane.run(for: .seconds(1))
        #expect(plane.engine.networks().map(\.vni) == [1, 4])
        #expect(goes.grants.count == 1 && shrinks.grants.count == 2)
    }

    /// Seals a packet in one engine and opens it in another.
    private func expectPassage(
        from one: Engine, _ source: String, to other: Engine, _ destination: String
    ) throws {
        let now = Instant(nanoseconds: 2_000_000_000)
        var packet = [UInt8](repeating: 0, count: 28)
        packet[0] = 0x45
        packet[3] = 28
        packet[8] = 64
        packet[9] = 17
        packet.replaceSubrange(12..<16, with: KeyPlane.address(source).bytes)
        packet.replaceSubrange(16..<20, with: KeyPlane.address(destination).bytes)
        var sender = try Lane(one)
        var receiver = try Lane(other)
        var sealed = [UInt8](repeating: 0, count: 200)
        var opened = sealed
        let there = unsafe sender.encapsulate(packet.span.bytes, into: &sealed, at: now)
        guard case .forward(let datagram) = there else {
            Issue.record("\(there)")
            return
        }
        let here = unsafe receiver.decapsulate(
            sealed.span.bytes.extracting(datagram), from: KeyPlane.place.address, into: &opened, at: now)
        guard case .forward(let range) = here else {
            Issue.record("\(here)")
            return
        }
        #expect(Array(opened[range]) == packet)
    }
}

extension Lane {
    fileprivate mutating func encapsulate(_ packet: RawSpan, into output: inout [UInt8], at now: Instant) -> Outcome {
        var span = output.mutableSpan
        var bytes = unsafe span.mutableBytes
        return encapsulate(packet, into: &bytes, as: .datagram, at: now)
    }

    fileprivate mutating func decapsulate(
        _ datagram: RawSpan, from source: IPAddress, into output: inout [UInt8], at now: Instant
    ) -> Outcome {
        var span = output.mutableSpan
        var bytes = unsafe span.mutableBytes
        return decapsulate(datagram, from: source, into: &bytes, as: .datagram, at: now)
    }
}
