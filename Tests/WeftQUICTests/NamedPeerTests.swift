// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftControl

/// A peer whose name was looked up, by others: which of its places is called, when, and what becomes of sessions.
@Suite("Peers with names")
struct NamedPeerTests {
    /// Two hosts, of which the first knows the other by a name alone.
    private func tunnels() throws -> Tunnels {
        let tunnels = try Tunnels(dials: (false, false))
        try set(tunnels)
        return tunnels
    }

    private func set(_ tunnels: Tunnels) throws {
        let peer = ControlPeer(
            publicKey: tunnels.hosts[1].identity.publicKey, network: Tunnels.network, vni: Tunnels.vni, isNamed: true)
        try tunnels.hosts[0].control.setPeers([peer], at: tunnels.now)
    }

    private func find(_ numbers: [UInt8], isRenamed: Bool = false, _ tunnels: Tunnels) {
        tunnels.hosts[0].control.setCandidates(
            numbers.map(Tunnels.address), of: tunnels.hosts[1].identity.publicKey, isRenamed: isRenamed,
            at: tunnels.now)
    }

    @Test("A dead first place costs a second, and the one that answered is called first the next time")
    func deadFirst() throws {
        let tunnels = try tunnels()
        tunnels.hosts[1].address = Tunnels.address(9)
        tunnels.run(for: .seconds(10))
        #expect(!tunnels.isUp && !tunnels.hosts[0].control.takeLookups().isEmpty)
        find([7, 9], tunnels)
        let time = try #require(tunnels.time { tunnels.isUp })
        #expect(time > .milliseconds(900) && time < .milliseconds(1500), "\(time)")
        #expect(tunnels.hosts[0].network?.endpoint == Tunnels.address(9))
        // It is restarted, and knows nothing of us.
        tunnels.hosts[1] = try tunnels.hosts[1].restarted()
        try tunnels.set(tunnels.hosts[1], towards: tunnels.hosts[0], dials: false)
        #expect(try #require(tunnels.time { tunnels.isUp }) <= .milliseconds(2800))
    }

    @Test("Many dead places cost a second each")
    func manyDead() throws {
        let tunnels = try tunnels()
        tunnels.hosts[1].address = Tunnels.address(9)
        find([3, 4, 5, 6, 7, 9], tunnels)
        #expect(try #require(tunnels.time { tunnels.isUp }) < .milliseconds(6000))
    }

    @Test("A peer that its name has moved is called there at once, and its session goes on until then")
    func moved() throws {
        let tunnels = try tunnels()
        find([2], tunnels)
        tunnels.hosts[1].address = Tunnels.address(2)
        #expect(tunnels.time { tunnels.isUp } != nil)
        // What the name says of a peer that is there is only kept in mind.
        find([8], tunnels)
        tunnels.run(for: .seconds(5))
        #expect(tunnels.isUp && tunnels.hosts[0].network?.endpoint == Tunnels.address(2))
        tunnels.hosts[1].isConnected = false
        tunnels.run(for: .seconds(30))
        #expect(!tunnels.hosts[0].control.takeLookups().isEmpty)
        tunnels.hosts[1].isConnected = true
        tunnels.hosts[1].address = Tunnels.address(9)
        find([9], tunnels)
        let before = tunnels.hosts[0].control.statuses()[0].agreements
        #expect(
            try #require(tunnels.time { tunnels.hosts[0].control.statuses()[0].agreements > before })
                < .milliseconds(1500))
        #expect(tunnels.hosts[0].network?.endpoint == Tunnels.address(9))
    }

    @Test("Another name leads elsewhere beside a session that lasts", arguments: [true, false])
    func renamed(answers: Bool) throws {
        let tunnels = try tunnels()
        tunnels.hosts[1].address = Tunnels.address(2)
        find([2], tunnels)
        #expect(tunnels.time { tunnels.isUp } != nil)
        tunnels.run(for: .seconds(5))
        find([2, 9], isRenamed: true, tunnels)
        tunnels.run(for: .seconds(1))
        #expect(tunnels.hosts[0].network?.endpoint == Tunnels.address(2), "it is there by its new name, too")
        if answers { tunnels.hosts[1].address = Tunnels.address(9) }
        find([8, 9], isRenamed: true, tunnels)
        tunnels.run(for: .seconds(5))
        #expect(tunnels.hosts[0].control.statuses()[0].state == .connected)
        if answers { #expect(tunnels.hosts[0].network?.endpoint == Tunnels.address(9)) }
    }

    @Test("No place within the tunnel is called")
    func tunnelled() throws {
        let tunnels = try tunnels()
        let peer = ControlPeer(
            publicKey: tunnels.hosts[1].identity.publicKey, network: Tunnels.network, vni: Tunnels.vni, isNamed: true)
        try tunnels.hosts[0].control.setPeers(
            [peer], tunnelled: [try #require(Prefix("192.0.2.7/32"))], at: tunnels.now)
        tunnels.hosts[1].address = Tunnels.address(9)
        find([7, 9], tunnels)
        #expect(try #require(tunnels.time { tunnels.isUp }) < .milliseconds(500))
        #expect(tunnels.hosts[0].log.lines.contains { $0.contains("192.0.2.7") })
    }
}
