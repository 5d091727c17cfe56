// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftControl
import WeftTestSupport

@testable import WeftQUIC

@Suite("The first exchange of weft/1")
struct GreetingTests {
    /// Two ends of which each takes the other for what it is told.
    private func meet(
        dialer one: PeerProtocol, listener other: PeerProtocol
    ) throws -> (network: Network, dialer: Network.Host, listener: Network.Host, session: SessionID) {
        let network = Network()
        let dialer = try network.add(Identity.generate())
        let listener = try network.add(Identity.generate())
        dialer.endpoint.authorize([listener.key: PeerTerms(streams: 4, speaks: one)])
        listener.endpoint.authorize([dialer.key: PeerTerms(streams: 4, speaks: other)])
        let session = try #require(dialer.endpoint.dial(listener.key, at: listener.address, now: network.now))
        network.run(for: .seconds(1))
        return (network, dialer, listener, session)
    }

    @Test("two of Weft's ends speak weft/1, and know each other's capabilities")
    func both() throws {
        let (network, dialer, listener, session) = try meet(dialer: .weft, listener: .weft)
        let accepted = try #require(listener.established)
        #expect(dialer.established == session)
        #expect(dialer.endpoint.capabilities(of: session) == .own)
        #expect(listener.endpoint.capabilities(of: accepted) == .own)
        // Streams go on behind the first one, which nobody hears of.
        #expect(dialer.endpoint.open([1, 2], on: session) == StreamID(rawValue: 4))
        #expect(listener.endpoint.open([3], on: accepted) == StreamID(rawValue: 1))
        network.run(for: .seconds(1))
        #expect(listener.received(on: StreamID(rawValue: 4)).bytes == [1, 2])
        #expect(dialer.received(on: StreamID(rawValue: 1)).bytes == [3])
        for host in [dialer, listener] {
            for event in host.events {
                switch event {
                case .received(_, Greeting.stream, _, _), .delivered(_, Greeting.stream): Issue.record("\(event)")
                default: break
                }
            }
        }
    }

    @Test(
        "the first release's protocol goes on where it is called, and where its section says so",
        arguments: [
            (PeerProtocol.firstRelease, PeerProtocol.firstRelease), (.firstRelease, .icx), (.weft, .icx), (.icx, .icx),
        ])
    func older(_ one: PeerProtocol, _ other: PeerProtocol) throws {
        let (_, dialer, listener, session) = try meet(dialer: one, listener: other)
        let accepted = try #require(listener.established)
        #expect(dialer.established == session)
        #expect(dialer.endpoint.capabilities(of: session) == nil)
        #expect(listener.endpoint.capabilities(of: accepted) == nil)
    }

    @Test("a newer peer whose section still says Protocol = 1 speaks weft/1")
    func updated() throws {
        let (_, dialer, _, session) = try meet(dialer: .weft, listener: .firstRelease)
        #expect(dialer.endpoint.capabilities(of: session) == .own)
    }

    @Test("a peer of the first release whose section doesn't say so is refused, and that says what to do")
    func refused() throws {
        let (_, dialer, listener, _) = try meet(dialer: .firstRelease, listener: .weft)
        #expect(listener.established == nil)
        #expect(listener.ends == [.firstRelease])
        #expect("\(SessionEnd.firstRelease)".contains("Protocol = 1"))
        #expect(dialer.ends == [.closedByPeer(code: 1)])
    }

    @Test("whatever comes before it waits, and what isn't capabilities ends the session")
    func steps() throws {
        func received(_ stream: Int64, _ bytes: [UInt8]) -> SessionEvent {
            .received(SessionID(rawValue: 1), StreamID(rawValue: stream), bytes, isEnd: false)
        }
        let frame = try #require(Capabilities.own.frame)
        var greeting = Greeting(isDialed: false, due: .distantFuture)
        guard case .wait = greeting.take([received(4, [7]), received(0, [frame[0]])]) else {
            Issue.record("half a message is one")
            return
        }
        guard case .answer(let held) = greeting.take([received(0, Array(frame.dropFirst())), received(4, [8])]) else {
            Issue.record("a whole one is none")
            return
        }
        #expect(held.count == 2)
        for wrong: [UInt8] in [[0, 1, 1], [0, 2, 1, 1], [0, 3, 1, 16, 0], [0xFF, 0xFF]] {
            var greeting = Greeting(isDialed: true, due: .distantFuture)
            if case .fail = greeting.take([received(0, wrong)]) { continue }
            Issue.record("\(wrong) passes")
        }
        var other = Greeting(isDialed: true, due: .distantFuture)
        if case .fail = other.take([.streamFailed(SessionID(rawValue: 1), Greeting.stream)]) { return }
        Issue.record("a stream that failed passes")
    }
}
