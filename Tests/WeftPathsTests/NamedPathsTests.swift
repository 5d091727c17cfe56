// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftTestSupport

@testable import WeftPaths

/// What becomes of where data goes when a peer's name stands for something else, or the file has another name for it.
@Suite("Paths of peers with names")
struct NamedPathsTests {
    private static let (one, two, elsewhere) = (PathsTests.one, PathsTests.two, PathsTests.elsewhere)
    private static let dead = Endpoint(IPAddress(v4: 0xC633_6463), port: 6081)

    /// End 0 calls end 1 by a name.
    private func network(
        standingFor places: [Endpoint], isPinned: Bool = false, _ answering: PathRules.Answering = .always
    ) -> SimulatedNetwork {
        let network = SimulatedNetwork(
            SeededGenerator(seed: 1),
            rules: (
                PathRules(endpoint: nil, isPinned: isPinned, answering: answering),
                PathRules(endpoint: Self.one, answering: answering)
            ), at: (Self.one, Self.two))
        find(places, network)
        return network
    }

    private func find(_ places: [Endpoint], isRenamed: Bool = false, _ network: SimulatedNetwork) {
        network.ends[0].paths.setNamed(places, of: SimulatedNetwork.peer, isRenamed: isRenamed, at: network.now)
        network.act(0)
    }

    @Test("The first place is taken while there is none, and the others are asked when it doesn't answer")
    func firstIsDead() {
        let network = network(standingFor: [Self.dead, Self.two])
        #expect(network.ends[0].endpoint == Self.dead)
        network.run(for: .seconds(3))
        #expect(network.ends[0].endpoint == Self.two && network.isUp)
    }

    @Test(
        "A peer that answers stays where it is, whatever its name comes to stand for, and is found there once it doesn't"
    )
    func moved() {
        let network = network(standingFor: [Self.two])
        network.run(for: .seconds(3))
        find([Self.dead, Self.elsewhere], network)
        network.run(for: .seconds(20))
        #expect(network.ends[0].endpoints == [Self.two])
        #expect(network.lost[Self.elsewhere] == nil && network.lost[Self.dead] == nil, "nobody was asked there")
        // It says nothing by itself by which it could be followed.
        network.ends[1].endpoint = nil
        network.ends[1].address = Self.elsewhere
        network.run(for: .seconds(3))
        #expect(network.ends[0].endpoint == Self.elsewhere)
    }

    @Test(
        "Another name leads elsewhere though the present place answers, once it answers there itself",
        arguments: [true, false])
    func renamed(answers: Bool) {
        let network = network(standingFor: [Self.two])
        network.run(for: .seconds(3))
        if answers { network.ends[1].others = [Self.elsewhere] }
        var downtime = 0
        find([Self.dead, Self.elsewhere], isRenamed: true, network)
        network.run(for: .seconds(20)) { if !network.isUp { downtime += 1 } }
        #expect(network.ends[0].endpoint == (answers ? Self.elsewhere : Self.two))
        #expect(network.ends[0].endpoints.contains(Self.dead) == false)
        #expect(downtime == 0)
        // What nobody answered at is forgotten.
        #expect(network.lost[Self.dead, default: 0] <= PeerPaths.sessionCredit)
    }

    @Test("Another name for the same place changes nothing")
    func same() {
        let network = network(standingFor: [Self.two])
        network.run(for: .seconds(3))
        find([Self.elsewhere, Self.two], isRenamed: true, network)
        network.run(for: .seconds(5))
        #expect(network.ends[0].endpoints == [Self.two] && network.lost[Self.elsewhere] == nil)
    }

    @Test("A peer that answers no probes stays where its session is")
    func neverAnswers() {
        let network = network(standingFor: [Self.two], .never)
        #expect(network.ends[0].endpoint == Self.two)
        find([Self.elsewhere], isRenamed: true, network)
        network.run(for: .seconds(10))
        #expect(network.ends[0].endpoints == [Self.two])
    }

    @Test("A pinned peer is at one of its name's places and nowhere else")
    func pinned() {
        let network = network(standingFor: [Self.dead, Self.two], isPinned: true)
        network.run(for: .seconds(3))
        #expect(network.ends[0].endpoint == Self.two)
        network.ends[1].address = Self.elsewhere
        network.run(for: .seconds(5))
        network.ends[0].paths.suggest(
            AddressPair(Self.elsewhere), for: SimulatedNetwork.peer, by: .session, at: network.now)
        network.run(for: .seconds(5))
        #expect(network.ends[0].endpoint == Self.two)
        find([Self.elsewhere], network)
        network.run(for: .seconds(5))
        #expect(network.ends[0].endpoint == Self.elsewhere)
    }

    @Test("Of many places the first few are asked, and none within the tunnel or of our own")
    func many() throws {
        let network = network(standingFor: [])
        var forbidden = ForbiddenPlaces()
        forbidden.addresses = [IPAddress(v4: 0xC633_6401)]
        forbidden.tunnelled = [try #require(Prefix("198.51.100.2/32"))]
        network.ends[0].paths.forbidden = forbidden
        let places = (1...20).map { Endpoint(IPAddress(v4: 0xC633_6400 | $0), port: 6081) }
        find(places, network)
        #expect(network.ends[0].endpoint == places[2])
        network.run(for: .seconds(20))
        #expect(Set(network.lost.keys) == Set(places[2..<2 + PeerPaths.mostNamed]))
    }
}
