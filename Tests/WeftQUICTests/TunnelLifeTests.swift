// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftControl
import WeftQUIC

struct TunnelLifeTests {
    @Test(arguments: [(true, true), (true, false), (false, true)], Suite.allCases)
    func keysAreAgreedWhoeverDials(dials: (Bool, Bool), suite: Suite) throws {
        let tunnels = try Tunnels(dials: (dials.0, dials.1), suite: suite)
        let time = try #require(tunnels.time { tunnels.isUp })
        #expect(time <= .milliseconds(300))
        // A call that was given up half-way is forgotten soon, at both ends.
        tunnels.run(for: .seconds(3))
        #expect(tunnels.isUp)
        let lower = try #require(tunnels.hosts[0].network)
        let upper = try #require(tunnels.hosts[1].network)
        // Bit 30 is the role of the end that receives with the SPI.
        #expect(lower.receive.allSatisfy { $0.spi >> 30 & 1 == 0 })
        #expect(upper.receive.allSatisfy { $0.spi >> 30 & 1 == 1 })
        for host in tunnels.hosts {
            #expect(host.control.statuses().map(\.state) == [.connected])
            #expect(host.control.statuses().map(\.agreements) == [1])
            #expect(host.endpoint.connectionCount == 1, "one session is left")
            #expect(host.network?.endpoint == tunnels.hosts.first { $0 !== host }?.address)
        }
    }

    @Test func keysAreRenewed() throws {
        let tunnels = try Tunnels()
        for host in tunnels.hosts {
            try tunnels.set(
                host, towards: tunnels.hosts.first { $0 !== host } ?? host, dials: true, rekeyInterval: .seconds(2))
        }
        #expect(tunnels.time { tunnels.isUp } != nil)
        for _ in 0..<1000 {
            tunnels.run(for: .milliseconds(100))
            #expect(tunnels.isUp)
        }
        for host in tunnels.hosts {
            #expect((48...52).contains(host.control.statuses()[0].agreements))
            // The engine isn't swept here: what lives within its grace, and the newest.
            let live = try #require(host.network).receive.filter { tunnels.now <= $0.expiry }
            #expect(live.count <= 17)
            #expect(host.control.statuses()[0].failures == 0)
        }
    }

    @Test(arguments: [0, 1], [(true, true), (true, false), (false, true)])
    func aRestartedEndIsUpAgainSoon(which: Int, dials: (Bool, Bool)) throws {
        let tunnels = try Tunnels(dials: (dials.0, dials.1))
        #expect(tunnels.time { tunnels.isUp } != nil)
        tunnels.run(for: .seconds(30))
        let old = tunnels.hosts[which]
        let other = tunnels.hosts[1 - which]
        old.isConnected = false
        tunnels.run(for: .milliseconds(700))
        let fresh = try old.restarted()
        tunnels.hosts[which] = fresh
        try tunnels.set(fresh, towards: other, dials: which == 0 ? dials.0 : dials.1)
        // Where the restarted end can't call, the other one asks.
        let canCall = which == 0 ? dials.0 : dials.1
        let time = try #require(tunnels.time { tunnels.isUp })
        #expect(time <= (canCall ? .milliseconds(300) : .milliseconds(2300)))
    }

    @Test(arguments: 1...12)
    func anEndThatCannotCallIsFoundHoweverLongItWasAway(seconds: Int) throws {
        let tunnels = try Tunnels(dials: (false, true))
        #expect(tunnels.time { tunnels.isUp } != nil)
        tunnels.run(for: .seconds(30))
        tunnels.hosts[0].isConnected = false
        tunnels.run(for: .milliseconds(seconds * 5117))
        let fresh = try tunnels.hosts[0].restarted()
        tunnels.hosts[0] = fresh
        try tunnels.set(fresh, towards: tunnels.hosts[1], dials: false)
        let time = try #require(tunnels.time { tunnels.isUp })
        #expect(time <= .milliseconds(2800))
    }

    /// Its control process ended, and the next one called where the data process knew its peer to be: that it may do only then.
    @Test func anEndThatCalledWithoutAnAddressOfItsOwnIsFoundToo() throws {
        let tunnels = try Tunnels(dials: (false, true))
        #expect(tunnels.time { tunnels.isUp } != nil)
        tunnels.run(for: .seconds(30))
        let other = tunnels.hosts[1]
        func restart(knowing presences: [PublicKey: PeerPresence]) throws {
            let fresh = try tunnels.hosts[0].restarted()
            tunnels.hosts[0] = fresh
            try tunnels.set(fresh, towards: other, dials: false)
            fresh.control.resume(presences, at: tunnels.now)
        }
        try restart(knowing: [
            other.identity.publicKey: PeerPresence(endpoint: other.address, receiveSPIs: [0x0000_0100])
        ])
        #expect(try #require(tunnels.time { tunnels.isUp }) <= .milliseconds(300))
        tunnels.run(for: .seconds(30))
        try restart(knowing: [:])
        let time = try #require(tunnels.time { tunnels.isUp })
        #expect(time <= .milliseconds(3000), "\(time)")
    }

    @Test func whoWasCalledDoesNotCallBack() throws {
        let tunnels = try Tunnels(dials: (true, false))
        #expect(tunnels.time { tunnels.isUp } != nil)
        tunnels.hosts[0].isConnected = false
        tunnels.run(for: .seconds(40))
        // It learned where its peer is, which it won't know after a restart.
        #expect(tunnels.hosts[1].control.statuses()[0].state == .listening)
        #expect(tunnels.hosts[1].control.statuses()[0].endpoint == tunnels.hosts[0].address)
        tunnels.hosts[0].isConnected = true
        tunnels.run(for: .seconds(10))
        #expect(tunnels.hosts[1].control.statuses()[0].state == .connected)
        let fresh = try tunnels.hosts[1].restarted()
        tunnels.hosts[1] = fresh
        try tunnels.set(fresh, towards: tunnels.hosts[0], dials: false)
        #expect(try #require(tunnels.time { tunnels.isUp }) <= .milliseconds(2300))
    }

    /// Its datagrams would be routed into the tunnel, sealed again, and so on.
    @Test func nobodyIsFollowedIntoTheTunnel() throws {
        let tunnels = try Tunnels(dials: (false, true))
        #expect(tunnels.time { tunnels.isUp } != nil)
        let roamer = tunnels.hosts[1]
        let home = roamer.address
        func roam(to address: Endpoint) {
            roamer.address = address
            roamer.control.showOurselves(at: tunnels.now)
            tunnels.run(for: .seconds(2))
        }
        let peer = ControlPeer(publicKey: roamer.identity.publicKey, network: Tunnels.network, vni: Tunnels.vni)
        let inside = Endpoint(IPAddress(v4: 0x0A58_0007), port: 6081)
        let prefix = try #require(Prefix("10.88.0.0/16"))
        try tunnels.hosts[0].control.setPeers([peer], tunnelled: [prefix], at: tunnels.now)
        roam(to: inside)
        #expect(tunnels.hosts[0].network?.endpoint == home)
        #expect(tunnels.hosts[0].log.lines.contains { $0.contains("10.88.0.0/16") })
        try tunnels.hosts[0].control.setPeers([peer], at: tunnels.now)
        roam(to: Tunnels.address(9))
        #expect(tunnels.hosts[0].network?.endpoint == Tunnels.address(9))
        roam(to: inside)
        #expect(tunnels.hosts[0].network?.endpoint == inside)
    }

    @Test func anUnansweredQuestionIsAskedSeldom() throws {
        let tunnels = try Tunnels(dials: (true, false))
        #expect(tunnels.time { tunnels.isUp } != nil)
        tunnels.run(for: .seconds(30))
        tunnels.hosts[1].isConnected = false
        let before = tunnels.hosts[0].sent
        tunnels.run(for: .milliseconds(3500))
        // QUIC repeats it in doubled gaps, twice each time.
        #expect((2...16).contains(tunnels.hosts[0].sent - before), "\(tunnels.hosts[0].sent - before)")
    }

    /// Who is asked while nobody sends: peers that couldn't call us should they have been restarted, and not ICX's.
    @Test func onlyAPeerThatCannotCallIsAsked() throws {
        let minute = Duration.seconds(60)
        // Each end's keep-alive is due every 10 s, and answers take as many datagrams.
        let quiet = 0...26

        let equals = try Tunnels(dials: (true, true))
        #expect(equals.time { equals.isUp } != nil)
        equals.run(for: .seconds(5))
        var before = equals.hosts.map(\.sent)
        equals.run(for: minute)
        #expect(equals.hosts.indices.allSatisfy { quiet.contains(equals.hosts[$0].sent - before[$0]) })

        // Ends that don't say whether they could call are believed to be able to once they did.
        let both = try Tunnels(dials: (false, true))
        for host in both.hosts { host.endpoint.greet { _ in .own } }
        #expect(both.time { both.isUp } != nil)
        // The one that was called now calls, and the other one needn't any more.
        try both.set(both.hosts[0], towards: both.hosts[1], dials: true)
        try both.set(both.hosts[1], towards: both.hosts[0], dials: false)
        both.hosts[0].isConnected = false
        both.run(for: .seconds(40))
        both.hosts[0].isConnected = true
        both.run(for: .seconds(10))
        #expect(both.hosts[0].control.statuses()[0].state == .connected)
        before = both.hosts.map(\.sent)
        both.run(for: minute)
        #expect(both.hosts.indices.allSatisfy { quiet.contains(both.hosts[$0].sent - before[$0]) })

        let one = try Tunnels(dials: (true, false))
        #expect(one.time { one.isUp } != nil)
        one.run(for: .seconds(5))
        before = one.hosts.map(\.sent)
        one.run(for: minute)
        // With jitter's middle, every 1.8 s; and every other time an acknowledgement of acknowledgements.
        for index in one.hosts.indices {
            let count = one.hosts[index].sent - before[index]
            #expect((30...60).contains(count), "\(count)")
        }
        #expect(one.hosts.allSatisfy { $0.control.statuses()[0].failures == 0 })

        let icx = try Tunnels(dials: (true, false))
        for (host, other) in [(icx.hosts[0], icx.hosts[1]), (icx.hosts[1], icx.hosts[0])] {
            try icx.set(host, towards: other, dials: host === icx.hosts[0], icx: true)
        }
        #expect(icx.time { icx.isUp } != nil)
        icx.run(for: .seconds(5))
        before = icx.hosts.map(\.sent)
        icx.run(for: minute)
        #expect(icx.hosts.indices.allSatisfy { quiet.contains(icx.hosts[$0].sent - before[$0]) })
    }

    /// It takes longer than an unanswered call does. Given up, it would begin anew, as would a thousand to a busy host.
    @Test func aCallThatIsAnsweredSlowlyGoesOn() throws {
        let tunnels = try Tunnels(dials: (true, false))
        tunnels.delay = .milliseconds(450)
        #expect(try #require(tunnels.time { tunnels.isUp }) <= .seconds(5))
        #expect(tunnels.hosts[0].control.statuses()[0].failures == 0)
    }

    @Test func anEndThatIsCutOffComesBack() throws {
        let tunnels = try Tunnels()
        #expect(tunnels.time { tunnels.isUp } != nil)
        let cut = tunnels.hosts[1]
        for seconds in [1, 7, 45, 100] {
            cut.isConnected = false
            tunnels.run(for: .seconds(seconds))
            cut.isConnected = true
            let before = cut.control.statuses()[0].agreements
            tunnels.run(for: .seconds(3))
            #expect(cut.control.statuses()[0].state == .connected, "after \(seconds) s, \(cut.control.statuses())")
            #expect(seconds < 40 || cut.control.statuses()[0].agreements > before)
        }
    }

    @Test func aPeerWithAnotherKeyIsSaidOnce() throws {
        let tunnels = try Tunnels(dials: (true, false))
        let other = try Tunnels.Host(Identity.generate(), at: tunnels.hosts[1].address)
        tunnels.hosts[1] = other
        try other.control.setPeers([], at: tunnels.now)
        tunnels.run(for: .seconds(59))
        let dialer = tunnels.hosts[0]
        #expect(dialer.log.lines.count == 1, "\(dialer.log.lines)")
        #expect(dialer.log.lines.first?.contains("weft pubkey") == true)
        // 0.2, 0.5, 1, 2 and then 5 s apart.
        #expect((12...18).contains(dialer.control.statuses()[0].failures))
    }

    @Test func differentSuitesAreSaid() throws {
        let tunnels = try Tunnels()
        try tunnels.set(tunnels.hosts[1], towards: tunnels.hosts[0], dials: true, suite: .aes256GCM)
        tunnels.run(for: .seconds(10))
        #expect(!tunnels.isUp)
        #expect(tunnels.hosts[1].log.lines.contains { $0.contains("AES-256-GCM") }, "\(tunnels.hosts[1].log.lines)")
    }
}
