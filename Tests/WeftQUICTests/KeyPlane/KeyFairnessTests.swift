// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftQUIC

@testable import WeftControl

/// Tenants that take more than their share, beside one that doesn't.
@Suite("A key plane's initiators don't wait for each other")
struct KeyFairnessTests {
    private func life(_ initiator: KeyPlane.Initiator, in plane: KeyPlane) throws -> InitiatorLife {
        try #require(plane.responder.initiators[initiator.key])
    }

    private func address(_ number: Int) -> IPAddress { IPAddress(v4: 0x0A09_4000 + UInt32(number)) }

    @Test("One that asks in a loop gets 256 networks at once and then 200 a second; another is answered at once")
    func asking() throws {
        let plane = try KeyPlane()
        let (greedy, other) = (try plane.add(), try plane.add())
        for number in 0..<1000 { _ = greedy.requester.request(address(number), at: plane.now) }
        plane.run(for: .milliseconds(30), step: .milliseconds(1))
        let began = plane.now
        let first = greedy.grants.count
        #expect((256...280).contains(first), "\(first)")
        _ = other.requester.request(address(5000), at: plane.now)
        while other.grants.isEmpty, plane.now < began.advanced(by: .seconds(1)) {
            plane.run(for: .milliseconds(1), step: .milliseconds(1))
        }
        let took = (plane.now.nanoseconds - began.nanoseconds) / 1_000_000
        // The greedy one's requests take seconds; one run settles up to eight of their steps.
        #expect(other.grants.count == 1 && took <= 40, "\(took) ms")
        plane.run(for: .seconds(2))
        let rest = greedy.grants.count - first
        #expect((380...440).contains(rest), "\(rest)")
        plane.run(for: .seconds(3))
        #expect(greedy.grants.count == 1000 && greedy.failures.isEmpty)
        #expect(try plane.status(of: greedy).delayed >= 700 && plane.status(of: other).delayed == 0)
        #expect(plane.log.lines.contains { $0.contains("more than 200 times a second") })
    }

    @Test("One that asks and releases in a loop keeps to its share of VNIs and of requests, and others have theirs")
    func looping() throws {
        let plane = try KeyPlane()
        let (looping, other) = (try plane.add(networks: 10), try plane.add(networks: 1))
        var released = 0
        for number in 0..<3000 {
            _ = looping.requester.request(address(number % 1000), at: plane.now)
            plane.run(for: .milliseconds(1), step: .milliseconds(1))
            for grant in looping.grants.dropFirst(released) {
                looping.requester.release(grant.vni, at: plane.now)
                released += 1
            }
        }
        plane.run(for: .seconds(20))
        let status = try plane.status(of: looping)
        #expect(status.grants + status.releases <= 256 + 200 * 30)
        #expect(status.networks + status.quarantined <= 10 * AuthorizedInitiator.vnisPerNetwork)
        #expect(looping.failures.contains(.vnisExhausted))
        plane.ask(other, for: "10.9.1.1")
        #expect(other.grants.count == 1)
    }

    @Test("The engine is told once in 5 ms on average, however many ask")
    func steps() throws {
        let (plane, engine) = try KeyPlane.watched()
        for _ in 0..<8 { try plane.add() }
        for initiator in plane.initiators {
            plane.ask(initiator, for: address(Int(initiator.address.address.v4Bits & 0xFF)))
        }
        let (before, began) = (engine.steps, plane.now)
        for round in 0..<300 {
            for (index, initiator) in plane.initiators.enumerated() {
                _ = initiator.requester.request(address(1000 * (index + 1) + round), at: plane.now)
            }
            plane.run(for: .milliseconds(1), step: .milliseconds(1))
        }
        let most = Int((plane.now.nanoseconds - began.nanoseconds) / 5_000_000) + 2
        #expect(engine.steps - before <= most && engine.steps - before > 10, "\(engine.steps - before) of \(most)")
        plane.run(for: .milliseconds(20), step: .milliseconds(1))
        #expect(plane.engine.networks().count > 8 * 250)
    }

    @Test("A steady row of asks doesn't wait for the latest of them, and releases go with them")
    func steady() throws {
        let (plane, engine) = try KeyPlane.watched()
        let initiator = try plane.add()
        plane.ask(initiator, for: address(1))
        plane.run(for: .milliseconds(100))
        let before = engine.steps
        var waits = 0
        for round in 0..<100 {
            // Each third comes 3 ms late.
            let late = round.isMultiple(of: 3) ? 3 : 0
            plane.run(for: .milliseconds(late), step: .milliseconds(1))
            let granted = initiator.grants.count
            initiator.requester.release(initiator.grants[granted - 1].vni, at: plane.now)
            _ = initiator.requester.request(address(2 + round), at: plane.now)
            plane.run(for: .milliseconds(1), step: .milliseconds(1))
            if initiator.grants.count == granted { waits += 1 }
            plane.run(for: .milliseconds(4 - late), step: .milliseconds(1))
        }
        plane.run(for: .milliseconds(20), step: .milliseconds(1))
        #expect(initiator.grants.count == 101 && initiator.failures.isEmpty)
        #expect(waits == 0 && engine.steps - before <= 101, "\(waits) waited, \(engine.steps - before) steps")
        // A release that no ask follows is told by itself.
        initiator.requester.release(initiator.grants[100].vni, at: plane.now)
        plane.run(for: .milliseconds(10), step: .milliseconds(1))
        #expect(plane.engine.networks().isEmpty)
    }

    @Test("One that never reads has as much under way as it has streams, and others are answered")
    func neverReading() throws {
        let plane = try KeyPlane()
        let (deaf, other) = (try plane.add(), try plane.add())
        plane.ask(deaf, for: "10.9.1.1")
        plane.passes = { $0 != 0 }
        for number in 0..<2000 { _ = deaf.requester.request(address(number), at: plane.now) }
        plane.run(for: .seconds(3))
        let life = try life(deaf, in: plane)
        #expect(life.held <= KeyResponder.streams + 1 && life.held > 100)
        #expect(life.row.count + (life.sessions.first?.answering.count ?? 0) <= KeyResponder.streams)
        plane.ask(other, for: "10.9.1.2")
        #expect(other.grants.count == 1)
        // What it never heard of goes with its session.
        deaf.isConnected = false
        plane.run(for: .seconds(60), step: .milliseconds(100))
        #expect(try plane.status(of: deaf).networks == 0 && life.row.isEmpty)
    }

    @Test("One that opens streams without end and gives them up leaves nothing behind", arguments: [false, true])
    func streams(withRequest: Bool) throws {
        let plane = try KeyPlane()
        let (restless, other) = (try plane.add(), try plane.add())
        plane.ask(restless, for: "10.9.1.1")
        let session = try #require(restless.requester.session?.id)
        let life = try life(restless, in: plane)
        var opened = 0
        var spi: UInt32 = 100
        for _ in 0..<300 {
            for _ in 0..<50 {
                spi += 2
                let message = ControlMessage.keyRequest(
                    SAOffer(suite: 0, receiveSPI: spi), overlayAddress: address(opened % 500)
                ).frame
                guard let stream = restless.endpoint.open(withRequest ? message : [0], on: session) else { break }
                opened += 1
                if opened.isMultiple(of: 2) { plane.run(for: .milliseconds(1), step: .milliseconds(1)) }
                restless.endpoint.abandon(stream, of: session)
            }
            plane.run(for: .milliseconds(1), step: .milliseconds(1))
            #expect(life.row.count <= 3 * KeyResponder.streams)
        }
        #expect(opened > 1000, "\(opened)")
        plane.run(for: .seconds(2))
        let responder = try #require(life.sessions.first)
        #expect(responder.incoming.isEmpty && responder.waiting.isEmpty && responder.answering.isEmpty)
        #expect(life.row.count <= KeyResponder.streams && life.held <= 1 + opened)
        plane.ask(other, for: "10.9.1.2")
        #expect(other.grants.count == 1)
    }

    @Test("One that moves to and fro has its networks moved once a second, and in the end to where it is")
    func restless() throws {
        let (plane, engine) = try KeyPlane.watched()
        let initiator = try plane.add()
        for number in 0..<50 { _ = initiator.requester.request(address(number), at: plane.now) }
        plane.run(for: .milliseconds(50))
        let before = engine.changed
        for round in 0..<300 {
            initiator.address = Endpoint(initiator.address.address, port: UInt16(7000 + round % 7))
            plane.ask(initiator, for: address(100 + round))
            plane.run(for: .milliseconds(10))
        }
        let moved = engine.changed - before
        #expect(moved > 0 && moved <= 5 * 350, "\(moved)")
        plane.run(for: .seconds(2))
        #expect(plane.engine.networks().allSatisfy { $0.endpoint == initiator.address })
    }

    @Test("One that comes and goes in a loop writes few lines")
    func reconnecting() throws {
        let plane = try KeyPlane()
        let initiator = try plane.add()
        for _ in 0..<50 {
            plane.ask(initiator, for: "10.9.1.1")
            plane.run(for: .milliseconds(200))
            if let session = initiator.requester.session?.id {
                initiator.endpoint.close(session, code: 0, now: plane.now)
            }
            plane.run(for: .milliseconds(400))
        }
        #expect(initiator.grants.count >= 10)
        #expect(plane.log.lines.count <= 12, "\(plane.log.lines.count)")
    }

    @Test("One that calls through the tunnel is refused, and one that goes there isn't followed")
    func tunnelled() throws {
        let plane = try KeyPlane(tunnelled: [KeyPlane.prefix("10.9.0.0/16")])
        let (through, follows) = (try plane.add(), try plane.add())
        through.address = Endpoint(KeyPlane.address("10.9.1.1"), port: 6081)
        plane.ask(through, for: "10.9.1.1")
        plane.run(for: .seconds(1))
        #expect(through.grants.isEmpty && plane.engine.networks().isEmpty)
        let status = try plane.status(of: through)
        #expect(status.sessions == 0 && status.refusals[.tunnelled] ?? 0 > 0)
        #expect(plane.log.lines.contains { $0.contains("through the tunnel") })

        plane.ask(follows, for: "10.9.1.2")
        let place = follows.address
        #expect(plane.engine.networks().map(\.endpoint) == [place])
        follows.address = Endpoint(KeyPlane.address("10.9.1.2"), port: 6081)
        plane.ask(follows, for: "10.9.1.3")
        plane.run(for: .seconds(1))
        #expect(plane.engine.networks().allSatisfy { $0.endpoint == place })
        #expect(try plane.status(of: follows).refusals[.tunnelled] == 1)

        // What is routed into the tunnel from now on.
        plane.responder.setInitiators(
            plane.policies, KeyPlane.configuration(tunnelled: [KeyPlane.prefix("192.0.2.0/24")]), at: plane.now)
        plane.settle()
        #expect(plane.engine.networks().isEmpty)
    }

    @Test("Many networks of one address go with their session, and the address is free")
    func oneAddress() throws {
        let plane = try KeyPlane()
        let (many, other) = (try plane.add(), try plane.add())
        for _ in 0..<1000 { _ = many.requester.request(KeyPlane.address("10.9.1.1"), at: plane.now) }
        plane.run(for: .seconds(5))
        #expect(many.grants.count == 1000)
        #expect(plane.responder.networks().count { !$0.isReceiveOnly } == 1)
        many.requester.close(at: plane.now)
        plane.run(for: .milliseconds(50))
        #expect(plane.engine.networks().isEmpty)
        plane.ask(other, for: "10.9.1.1")
        #expect(other.grants.count == 1)
    }
}
