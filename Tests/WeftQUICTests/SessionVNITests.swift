// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftQUIC

@testable import WeftControl

@Suite("VNIs of sessions")
struct SessionVNITests {
    /// What each end receives with now, where the ends agree about it.
    private func vnis(_ tunnels: Tunnels, sourceLocation: SourceLocation = #_sourceLocation) throws -> [UInt32] {
        let (one, other) = try (
            #require(tunnels.hosts[0].network, sourceLocation: sourceLocation),
            #require(tunnels.hosts[1].network, sourceLocation: sourceLocation)
        )
        let received = try [one, other].map { try #require($0.receive.first, sourceLocation: sourceLocation).vni }
        #expect(other.transmit?.vni == received[0] && one.transmit?.vni == received[1], sourceLocation: sourceLocation)
        return received
    }

    /// Has a host say nothing of VNIs, as weft/1 began.
    private func age(_ host: Tunnels.Host) { host.endpoint.greet { _ in .own } }

    @Test(
        "they differ by direction and by session, stay with a session's renewals, and SPIs begin anywhere",
        arguments: [(true, true), (true, false), (false, true)])
    func sessions(dials: (Bool, Bool)) throws {
        let tunnels = try Tunnels(dials: (dials.0, dials.1))
        for (index, host) in tunnels.hosts.enumerated() {
            try tunnels.set(
                host, towards: tunnels.hosts[1 - index], dials: index == 0 ? dials.0 : dials.1,
                rekeyInterval: .seconds(2))
        }
        #expect(tunnels.time { tunnels.isUp } != nil)
        tunnels.run(for: .seconds(1))
        let first = try vnis(tunnels)
        #expect(first[0] != first[1] && !first.contains(Tunnels.vni))
        for host in tunnels.hosts {
            // One in 500,000 is smaller.
            #expect(try #require(host.network?.receive.first).spi & SPI.counters.upperBound > 1000)
        }
        tunnels.run(for: .seconds(10))
        #expect(tunnels.hosts[0].control.statuses()[0].agreements > 3)
        #expect(try vnis(tunnels) == first)
        // A restarted end: both draw anew, and what the other end received with goes on until its SAs end.
        let (left, right) = (tunnels.hosts[0], tunnels.hosts[1])
        tunnels.hosts[1] = try right.restarted()
        try tunnels.set(tunnels.hosts[1], towards: left, dials: dials.1)
        #expect(tunnels.time { tunnels.isUp } != nil)
        let second = try vnis(tunnels)
        #expect(Set(first).isDisjoint(with: second))
        #expect(left.network?.receive.contains { $0.vni == first[0] } == true)
        tunnels.run(for: Engine.grace + .seconds(1))
        left.engine.sweep(at: tunnels.now)
        #expect(left.network?.receive.allSatisfy { $0.vni == second[0] } == true)
    }

    @Test("where an end names none both have the one that follows from their keys", arguments: [[0], [1], [0, 1]])
    func older(which: [Int]) throws {
        let tunnels = try Tunnels()
        for index in which { age(tunnels.hosts[index]) }
        #expect(tunnels.time { tunnels.isUp } != nil)
        #expect(try vnis(tunnels) == [Tunnels.vni, Tunnels.vni])
        // It is brought up to date while the other one stays.
        for index in which {
            tunnels.hosts[index] = try tunnels.hosts[index].restarted()
            try tunnels.set(tunnels.hosts[index], towards: tunnels.hosts[1 - index], dials: true)
        }
        #expect(tunnels.time { tunnels.isUp && (try? vnis(tunnels).contains(Tunnels.vni)) == false } != nil)
    }

    @Test("a network with a VNI of its own receives with it, whatever the other end does", arguments: [true, false])
    func own(both: Bool) throws {
        let tunnels = try Tunnels()
        for index in 0..<(both ? 2 : 1) {
            try tunnels.hosts[index].engine.remove(Tunnels.network)
            try tunnels.set(
                tunnels.hosts[index], towards: tunnels.hosts[1 - index], dials: true, network: .vni(5), vni: 5)
        }
        #expect(tunnels.time { tunnels.isUp } != nil)
        tunnels.run(for: .seconds(1))
        let vnis = try vnis(tunnels)
        #expect(vnis[0] == 5 && (vnis[1] == 5) == both)
    }

    /// Three hosts, of which the first has the others for peers, under one VNI that follows from keys.
    private func crowd(older: Bool) throws -> Tunnels {
        let tunnels = try Tunnels(dials: (false, true))
        tunnels.hosts.append(try .init(Identity.generate(), at: Tunnels.address(3)))
        let hub = tunnels.hosts[0]
        try hub.engine.add(NetworkConfiguration(.number(1), endpoint: nil, routes: []))
        for host in tunnels.hosts.dropFirst() {
            if older { age(host) }
            try tunnels.set(host, towards: hub, dials: true)
        }
        try hub.control.setPeers(
            tunnels.hosts.dropFirst().enumerated().map { number, host in
                ControlPeer(publicKey: host.identity.publicKey, network: .number(UInt32(number)), vni: Tunnels.vni)
            }, at: tunnels.now)
        return tunnels
    }

    @Test("peers whose keys lead to one VNI come up beside each other")
    func collision() throws {
        let tunnels = try crowd(older: false)
        let hub = tunnels.hosts[0]
        #expect(tunnels.time { hub.engine.networks().allSatisfy { $0.transmit != nil } } != nil)
        tunnels.run(for: .seconds(5))
        #expect(hub.control.statuses().allSatisfy { $0.state == .connected && $0.failures == 0 })
        #expect(Set(hub.engine.networks().compactMap { $0.receive.first?.vni }).count == 2)
    }

    @Test("of those that can't name one the first has it, and the other is told what to do")
    func olderCollision() throws {
        let tunnels = try crowd(older: true)
        let hub = tunnels.hosts[0]
        tunnels.run(for: .seconds(5))
        #expect(hub.engine.networks().filter { $0.transmit != nil }.count == 1)
        #expect(hub.log.lines.contains { $0.contains("\(EngineError.vniTaken(Tunnels.vni))") })
    }

    @Test("a VNI that was drawn, and that another network has, is drawn anew")
    func drawnTwice() throws {
        var draws: [UInt32] = [Tunnels.vni, 9, 10]
        let tunnels = try Tunnels(dials: (false, true))
        let (old, dialer) = (tunnels.hosts[0], tunnels.hosts[1])
        let pem = old.identity.pem()
        let hub = try Tunnels.Host(Identity(pem: pem.span), at: old.address) {
            draws.isEmpty ? 11 : draws.removeFirst()
        }
        tunnels.hosts[0] = hub
        try tunnels.set(hub, towards: dialer, dials: false)
        try hub.engine.add(NetworkConfiguration(.vni(9), endpoint: nil, routes: []))
        #expect(tunnels.time { tunnels.isUp } != nil)
        // 7 is what peers have without a word; 9 is refused by the engine.
        #expect(hub.network?.receive.first?.vni == 10)
        #expect(hub.control.statuses()[0].failures == 1)
    }

    @Test(
        "what is no VNI ends the session",
        arguments: [[], [0, 0, 7], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 7, 0]] as [[UInt8]])
    func malformed(value: [UInt8]) throws {
        let tunnels = try Tunnels(dials: (true, false))
        tunnels.hosts[0].endpoint.greet { _ in
            var capabilities = Capabilities.own
            capabilities[1] = .init(version: 1, value: value)
            return capabilities
        }
        tunnels.run(for: .seconds(3))
        #expect(!tunnels.isUp)
        let failure = try #require(tunnels.hosts[1].control.statuses()[0].lastFailure)
        #expect(failure.contains("broke the protocol"))
        // Another version is another capability, which isn't known.
        tunnels.hosts[0].endpoint.greet { _ in
            var capabilities = Capabilities.own
            capabilities[1] = .init(version: 2, value: value)
            return capabilities
        }
        #expect(tunnels.time { tunnels.isUp } != nil)
        #expect(try vnis(tunnels) == [Tunnels.vni, Tunnels.vni])
    }
}
