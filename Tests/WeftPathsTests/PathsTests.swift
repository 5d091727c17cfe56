// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftTestSupport

@testable import WeftPaths

/// What happens to where data goes, event by event: the table of docs/paths.md.
@Suite("Paths")
struct PathsTests {
    static let one = Endpoint(IPAddress(v4: 0xC000_0201), port: 6081)
    static let two = Endpoint(IPAddress(v4: 0xCB00_7109), port: 6081)
    static let elsewhere = Endpoint(IPAddress(v4: 0xC000_02C8), port: 40_000)

    /// End 0 knows where end 1 is; end 1 knows where end 0 was.
    static func network(
        _ answering: PathRules.Answering = .always, generator: SeededGenerator = SeededGenerator(seed: 1),
        lengths: PathLengths = .fixed(1400)
    ) -> SimulatedNetwork {
        SimulatedNetwork(
            generator,
            rules: (
                PathRules(endpoint: two, answering: answering), PathRules(endpoint: one, answering: answering)
            ), at: (one, two), lengths: lengths)
    }

    @Test("A peer that moved, or whose NAT has another mapping, is followed within 3 s", arguments: [true, false])
    func moved(isSending: Bool) {
        for isNAT in [false, true] {
            let network = Self.network()
            network.ends[1].isSending = isSending
            network.run(for: .seconds(3))
            #expect(network.ends[0].lastData != nil || !isSending)
            if isNAT { network.ends[0].mapping = Self.elsewhere } else { network.ends[0].address = Self.elsewhere }
            network.run(for: .seconds(3))
            #expect(network.ends[1].endpoint == Self.elsewhere, "NAT \(isNAT)")
            // And home again.
            if isNAT { network.ends[0].mapping = nil } else { network.ends[0].address = Self.one }
            network.run(for: .seconds(3))
            #expect(network.ends[1].endpoint == Self.one, "NAT \(isNAT)")
        }
    }

    @Test(
        "Who repeats datagrams from elsewhere diverts nothing while the present path answers",
        arguments: SimulatedNetwork.Attack.allCases, [PathRules.Answering.always, .perhaps])
    func raced(_ attack: SimulatedNetwork.Attack, _ answering: PathRules.Answering) {
        let network = Self.network(answering)
        network.attack = attack
        var downtime = 0
        network.run(for: .seconds(30)) { if !network.isUp { downtime += 1 } }
        #expect(network.ends[1].endpoints == [Self.one])
        #expect(network.ends[0].endpoints == [Self.two])
        // In steps of 10 ms: nothing comes before the first data has.
        #expect(downtime < 15)
        #expect(network.atVictim.allSatisfy { $0 != .data && $0 != .keepAlive })
    }

    @Test("A victim whose address is forged gets one question at most for each datagram that named it")
    func victim() {
        let network = Self.network()
        network.run(for: .seconds(3))
        network.attack = .spoof
        // Now nothing else answers.
        network.isCut = true
        network.run(for: .seconds(30))
        #expect(network.spoofed > 100)
        let questions = network.atVictim.count { if case .question = $0 { true } else { false } }
        let answers = network.atVictim.count { if case .answer = $0 { true } else { false } }
        #expect(questions > 0 && questions + answers <= network.spoofed)
        #expect(network.atVictim.allSatisfy { $0 != .data && $0 != .keepAlive })
        #expect(network.ends[1].endpoints == [Self.one])
    }

    @Test("Once the present path is gone a relay will do, and it is left again when the other way is back and it goes")
    func relay() {
        let network = Self.network()
        network.run(for: .seconds(3))
        network.attack = .relay
        network.run(for: .seconds(3))
        #expect(network.ends[1].endpoints == [Self.one])
        network.isCut = true
        network.run(for: .seconds(4))
        #expect(network.ends[1].endpoint == SimulatedNetwork.attacker)
        network.isCut = false
        network.attack = .none
        network.run(for: .seconds(4))
        #expect(network.ends[1].endpoint == Self.one)
        #expect(network.isUp)
    }

    @Test("A peer that never answers is where the file says, or where its session is")
    func neverAnswers() {
        let network = Self.network(.never)
        network.attack = .raceAll
        network.ends[0].address = Self.elsewhere
        network.run(for: .seconds(10))
        #expect(network.ends[1].endpoints == [Self.one])
        #expect(network.lost[Self.one, default: 0] > 0)
        network.ends[1].paths.suggest(
            AddressPair(Self.elsewhere), for: SimulatedNetwork.peer, by: .session, at: network.now)
        network.act(1)
        #expect(network.ends[1].endpoint == Self.elsewhere)
    }

    @Test("A peer that says that it answers, and doesn't, is where its session is")
    func saysOnly() {
        let network = Self.network()
        network.ends[0].answers = false
        network.run(for: .seconds(2))
        network.ends[0].address = Self.elsewhere
        network.run(for: .seconds(3))
        #expect(network.ends[1].endpoint == Self.one)
        network.ends[1].paths.suggest(
            AddressPair(Self.elsewhere), for: SimulatedNetwork.peer, by: .session, at: network.now)
        network.run(for: .seconds(3))
        #expect(network.ends[1].endpoint == Self.elsewhere)
    }

    @Test("Without a place the session's is taken at once, and a source only once it answered")
    func firstPlace() {
        for origin in [PathOrigin.session, .source] {
            let network = SimulatedNetwork(
                SeededGenerator(seed: 1),
                rules: (
                    PathRules(endpoint: Self.two, answering: .always), PathRules(endpoint: nil, answering: .always)
                ), at: (Self.one, Self.two))
            if origin == .session {
                network.ends[1].paths.suggest(
                    AddressPair(Self.one), for: SimulatedNetwork.peer, by: .session, at: network.now)
                network.act(1)
                #expect(network.ends[1].endpoint == Self.one)
            }
            network.run(for: .seconds(2))
            #expect(network.ends[1].endpoint == Self.one)
            #expect(network.isUp)
        }
    }

    @Test("A session elsewhere moves nothing while the present path answers, and all once it doesn't")
    func session() {
        for isGone in [false, true] {
            let network = Self.network()
            network.run(for: .seconds(2))
            if isGone { network.ends[0].address = Self.elsewhere }
            // Whoever repeats a whole handshake can make it.
            network.ends[1].paths.suggest(
                AddressPair(isGone ? Self.elsewhere : SimulatedNetwork.attacker), for: SimulatedNetwork.peer,
                by: .session,
                at: network.now)
            network.run(for: .seconds(2))
            #expect(network.ends[1].endpoint == (isGone ? Self.elsewhere : Self.one))
        }
    }

    @Test("A pinned endpoint stays")
    func pinned() {
        let network = SimulatedNetwork(
            SeededGenerator(seed: 1),
            rules: (
                PathRules(endpoint: Self.two, answering: .always),
                PathRules(endpoint: Self.one, isPinned: true, answering: .always)
            ), at: (Self.one, Self.two))
        network.ends[0].address = Self.elsewhere
        network.run(for: .seconds(10))
        network.ends[1].paths.suggest(
            AddressPair(Self.elsewhere), for: SimulatedNetwork.peer, by: .session, at: network.now)
        network.run(for: .seconds(5))
        #expect(network.ends[1].endpoints == [Self.one])
    }

    @Test(
        "Nobody is followed to where nobody may be, unless the file says so",
        arguments: [
            "127.0.0.1:6081", "[::1]:6081", "192.0.2.66:0", "224.0.0.1:6081", "255.255.255.255:6081", "[ff02::1]:6081",
            "203.0.113.9:7000", "0.0.0.0:6081", "10.1.2.3:6081", "203.0.113.255:6081", "[::ffff:127.0.0.1]:6081",
        ])
    func forbidden(_ text: String) throws {
        let port = try #require(UInt16(text.split(separator: ":").last ?? ""))
        let host = text.prefix { $0 != ":" || text.hasPrefix("[") && !text.contains("]:") }
        let address = try #require(
            IPAddress(text.hasPrefix("[") ? text.dropFirst().prefix { $0 != "]" } : host))
        let place = Endpoint(address, port: port)
        for origin in [PathOrigin.source, .session] {
            for isNamed in [false, true] {
                let network = Self.network()
                var forbidden = ForbiddenPlaces()
                forbidden.addresses = [Self.two.address, IPAddress(v4: 0xCB00_71FF)]
                forbidden.tunnelled = [try #require(Prefix("10.0.0.0/8"))]
                network.ends[1].paths.forbidden = forbidden
                if isNamed {
                    network.ends[1].paths.setPeers(
                        [
                            SimulatedNetwork.peer: PathRules(
                                endpoint: Endpoint(place.address, port: 1), answering: .always)
                        ],
                        at: [:])
                }
                network.isCut = true
                network.run(for: .seconds(5))
                network.lost = [:]
                network.ends[1].paths.suggest(
                    AddressPair(place), for: SimulatedNetwork.peer, by: origin, at: network.now)
                network.run(for: .seconds(5))
                let mayBe = isNamed && place.port != 0
                #expect((network.lost[place, default: 0] > 0) == mayBe, "\(origin), named: \(isNamed)")
                #expect(
                    network.ends[1].paths.places(
                        answering: AddressPair(place), of: SimulatedNetwork.peer, at: network.now
                    )
                    .contains { $0.remote == place } == false || isNamed)
            }
        }
    }

    @Test("Nothing is asked while nothing is sent and nobody is elsewhere")
    func idle() {
        let network = Self.network()
        for end in network.ends { end.isSending = false }
        network.run(for: .seconds(2))
        let before = network.ends[0].counter
        network.run(for: .seconds(20))
        // Keep-alives alone.
        #expect(network.ends[0].counter - before == 20)
        #expect(!network.ends[0].paths.isBusy)
    }

    @Test("Who asks too often is answered no more than 50 times a second")
    func answers() {
        let paths = Paths(.fixed(1400))
        paths.setPeers(
            [.vni(7): PathRules(endpoint: Self.one, answering: .always)], at: [.vni(7): AddressPair(Self.one)])
        var count = 0
        for step in 0..<2000 {
            let now = Instant(nanoseconds: 1_000_000_000 + UInt64(step) * 1_000_000)
            count += paths.places(answering: AddressPair(Self.one), of: .vni(7), at: now).count
        }
        #expect((100...150).contains(count))
    }
}
