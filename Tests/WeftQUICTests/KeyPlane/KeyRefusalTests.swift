// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftQUIC

@testable import WeftControl

@Suite("What a key plane's responder refuses")
struct KeyRefusalTests {
    @Test(
        "An address that isn't the initiator's to ask for",
        arguments: ["10.8.0.1", "10.9.0.1", "fd77::1", "11.0.0.1", "0.0.0.0"])
    func prefix(address: String) throws {
        let plane = try KeyPlane()
        let initiator = try plane.add(prefixes: ["10.9.0.0/16", "fd77::/64"])
        plane.ask(initiator, for: address)
        #expect(initiator.failures == [.rejected] && initiator.grants.isEmpty)
        #expect(try plane.status(of: initiator).refusals == [.prefix: 1])
        #expect(plane.engine.networks().isEmpty)
    }

    @Test("An address that another initiator holds, until that one lets go")
    func held() throws {
        let plane = try KeyPlane()
        let one = try plane.add()
        let other = try plane.add()
        plane.ask(one, for: "10.9.1.1")
        plane.ask(other, for: "10.9.1.1")
        #expect(other.failures == [.rejected])
        #expect(try plane.status(of: other).refusals == [.held: 1])
        one.requester.release(1, at: plane.now)
        plane.settle()
        plane.ask(other, for: "10.9.1.1")
        #expect(other.grants.map(\.vni) == [2])
    }

    @Test("More networks than the initiator may hold")
    func limit() throws {
        let plane = try KeyPlane()
        let initiator = try plane.add(networks: 3)
        for number in 1...4 { plane.ask(initiator, for: "10.9.1.\(number)") }
        #expect(initiator.grants.count == 3 && initiator.failures == [.rejected])
        #expect(try plane.status(of: initiator).refusals == [.limit: 1])
        initiator.requester.release(2, at: plane.now)
        plane.settle()
        plane.ask(initiator, for: "10.9.1.4")
        #expect(initiator.grants.count == 4)
    }

    @Test("More VNIs in quarantine than an initiator's share; another one's isn't touched")
    func quarantineShare() throws {
        let plane = try KeyPlane()
        let one = try plane.add(networks: 1)
        let other = try plane.add(networks: 1)
        for number in 1...AuthorizedInitiator.vnisPerNetwork {
            plane.ask(one, for: "10.9.1.\(number)")
            one.requester.release(try #require(one.grants.last).vni, at: plane.now)
            plane.settle()
        }
        plane.ask(one, for: "10.9.2.1")
        #expect(one.failures == [.vnisExhausted])
        plane.ask(other, for: "10.9.2.1")
        #expect(other.grants.count == 1)
        plane.run(for: KeyPlane.lifetime + .seconds(1), step: .seconds(1))
        plane.ask(one, for: "10.9.2.2")
        #expect(one.failures == [.vnisExhausted])
        #expect(one.grants.count == AuthorizedInitiator.vnisPerNetwork + 1)
    }

    @Test("Another cipher suite")
    func suite() throws {
        let plane = try KeyPlane()
        let initiator = try plane.add(suites: (.aes256GCM, .aes128GCM))
        plane.ask(initiator, for: "10.9.1.1")
        #expect(initiator.failures == [.rejected])
        #expect(try plane.status(of: initiator).refusals == [.suite: 1])
    }

    @Test("A stranger")
    func stranger() throws {
        let plane = try KeyPlane()
        let initiator = try plane.add(isListed: false)
        plane.ask(initiator, for: "10.9.1.1")
        plane.run(for: .seconds(1))
        #expect(initiator.grants.isEmpty)
        guard case .session? = initiator.failures.first else {
            Issue.record("\(initiator.failures)")
            return
        }
        #expect(plane.responder.turnedAway == 1)
        #expect(plane.log.lines.contains { $0.contains("called in vain") })
    }

    @Test("A VNI that the engine has from elsewhere is never granted, and the next request gets another")
    func foreignNetwork() throws {
        let plane = try KeyPlane()
        try plane.engine.add(NetworkConfiguration(vni: 1, endpoint: nil, routes: []))
        let initiator = try plane.add()
        plane.ask(initiator, for: "10.9.1.1")
        #expect(initiator.failures == [.vnisExhausted])
        plane.ask(initiator, for: "10.9.1.1")
        #expect(initiator.grants.map(\.vni) == [2])
        #expect(plane.engine.networks().map(\.vni) == [1, 2])
        initiator.requester.close(at: plane.now)
        plane.settle()
        #expect(plane.engine.networks().map(\.vni) == [1])
    }

    @Test("A refusal that is heard of after the answer ends the session, and the initiator asks anew")
    func lateRefusal() throws {
        let (plane, engine) = try KeyPlane.watched()
        engine.isHeard = false
        try plane.engine.add(NetworkConfiguration(vni: 2, endpoint: nil, routes: []))
        let (unlucky, other) = (try plane.add(), try plane.add())
        plane.ask(unlucky, for: "10.9.1.1")
        #expect(unlucky.grants.map(\.vni) == [1])
        // Nothing of the port's leaves from the refusal on until it was heard of.
        plane.passes = { _ in false }
        plane.ask(unlucky, for: "10.9.1.2")
        plane.ask(other, for: "10.9.1.3")
        plane.run(for: .milliseconds(20))
        #expect(unlucky.grants.count == 1 && other.grants.isEmpty)
        engine.isHeard = true
        plane.responder.advance(to: plane.now)
        plane.passes = { _ in true }
        plane.run(for: .seconds(5))
        #expect(unlucky.grants.count == 1 && unlucky.lost == [[1]])
        #expect(other.grants.map(\.vni) == [3] && other.lost.isEmpty)
        #expect(Set(plane.engine.networks().map(\.vni)) == [2, 3])
        #expect(try plane.status(of: unlucky).networks == 0)
        plane.ask(unlucky, for: "10.9.1.2")
        plane.run(for: .seconds(5))
        #expect(unlucky.grants.map(\.vni) == [1, 4])
    }

    @Test("A network that others took from the engine keeps no other from going")
    func vanishedNetwork() throws {
        let plane = try KeyPlane()
        let initiator = try plane.add()
        for number in 1...3 { plane.ask(initiator, for: "10.9.1.\(number)") }
        try plane.engine.remove(.vni(2))
        initiator.requester.close(at: plane.now)
        plane.settle()
        #expect(plane.engine.networks().isEmpty)
    }

    @Test("A grant whose request was given up is given back")
    func lateGrant() throws {
        let plane = try KeyPlane()
        let initiator = try plane.add()
        plane.ask(initiator, for: "10.9.1.1")
        plane.passes = { _ in false }
        plane.ask(initiator, for: "10.9.1.2")
        plane.run(for: .seconds(11))
        #expect(initiator.failures == [.timeout])
        #expect(plane.engine.networks().count == 2)
        plane.passes = { _ in true }
        plane.run(for: .seconds(10))
        #expect(plane.engine.networks().map(\.vni) == [1])
        #expect(initiator.grants.count == 1 && initiator.lost.isEmpty)
    }

    /// What an initiator may not send.
    static let violations: [(name: String, bytes: [UInt8])] = [
        ("an SPI of the responder's half", request(spi: 0x4000_0001)),
        ("an SPI of the other master key", request(spi: 0x8000_0001)),
        ("a reserved SPI", request(spi: 0)),
        ("an SA offer", ControlMessage.saOffer(SAOffer(suite: 0, receiveSPI: 5)).frame),
        ("a grant", ControlMessage.keyGrant(.granted, SAOffer(suite: 0, receiveSPI: 5), vni: 5).frame),
        ("another version", [0, 3, 2, 4, 0]),
        ("an oversized frame", [0xFF, 0xFF] + [UInt8](repeating: 0, count: 5000)),
        ("half a frame", [0, 23, 1]),
        ("nothing", []),
    ]

    static func request(spi: UInt32) -> [UInt8] {
        ControlMessage.keyRequest(
            SAOffer(suite: 0, receiveSPI: spi), overlayAddress: KeyPlane.address("10.9.1.1")
        ).frame
    }

    @Test("Whoever breaks the protocol gets no network, and the session goes on", arguments: violations.indices)
    func violation(index: Int) throws {
        let plane = try KeyPlane()
        let initiator = try plane.add()
        plane.ask(initiator, for: "10.9.7.7")
        let session = try #require(initiator.requester.session?.id)
        let stream = try #require(initiator.endpoint.open(Self.violations[index].bytes, on: session))
        plane.run(for: .seconds(1))
        #expect(plane.engine.networks().map(\.vni) == [1], "\(Self.violations[index].name)")
        #expect(try plane.status(of: initiator).refusals == [.protocolError: 1], "\(stream)")
        plane.ask(initiator, for: "10.9.1.1")
        #expect(initiator.grants.count == 2)
    }

    @Test("An SPI a second time")
    func repeatedSPI() throws {
        let plane = try KeyPlane()
        let initiator = try plane.add()
        plane.ask(initiator, for: "10.9.7.7")
        let session = try #require(initiator.requester.session?.id)
        // The requester's first request had number 1.
        _ = initiator.endpoint.open(Self.request(spi: 1), on: session)
        plane.run(for: .seconds(1))
        #expect(plane.engine.networks().count == 1)
        #expect(try plane.status(of: initiator).refusals == [.protocolError: 1])
    }

    @Test("The release of what another initiator holds, or of nobody's", arguments: [1, 2, 0, UInt32.max])
    func foreignRelease(vni: UInt32) throws {
        let plane = try KeyPlane()
        let one = try plane.add()
        let other = try plane.add()
        plane.ask(one, for: "10.9.1.1")
        plane.ask(other, for: "10.9.2.2")
        plane.ask(one, for: "10.9.1.2")
        let session = try #require(other.requester.session?.id)
        _ = other.endpoint.open(ControlMessage.vniRelease(vni: vni == 2 ? 3 : vni).frame, on: session)
        plane.run(for: .seconds(1))
        #expect(plane.engine.networks().map(\.vni) == [1, 2, 3])
        #expect(try plane.status(of: other).releases == 0)
    }
}
