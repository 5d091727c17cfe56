// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftControl

@testable import WeftQUIC

struct SessionTests {
    /// A dialling and an accepting host with a session between them.
    private func pair() throws -> (network: Network, dialer: Network.Host, listener: Network.Host, session: SessionID) {
        let network = Network()
        let dialer = try network.add(Identity.generate())
        let listener = try network.add(Identity.generate())
        listener.endpoint.authorize([dialer.key: PeerTerms(streams: 4)])
        let session = try #require(dialer.endpoint.dial(listener.key, at: listener.address, now: network.now))
        network.run(for: .milliseconds(100))
        return (network, dialer, listener, session)
    }

    private func exposed(of host: Network.Host, _ session: SessionID) throws -> [UInt8] {
        guard let root = host.endpoint.takeRootSecret(of: session) else { throw NoSecret() }
        let isGone = host.endpoint.takeRootSecret(of: session) == nil
        #expect(isGone, "it is given away once")
        let span = root.span
        return span.indices.map { span[$0] }
    }

    @Test func bothEndsProveTheirKeysAndExportTheSameSecret() throws {
        let (_, dialer, listener, session) = try pair()
        #expect(dialer.established == session)
        let accepted = try #require(listener.established)
        let ours = try exposed(of: dialer, session)
        let theirs = try exposed(of: listener, accepted)
        #expect(ours == theirs)
        for case .established(_, let peer, let place, let dialed) in listener.events {
            #expect(peer == dialer.key && place.remote == dialer.address && !dialed)
        }
        #expect(listener.endpoint.counters.retries == 1)
    }

    @Test func whoIsCalledAnswersFromTheAddressThatWasCalled() throws {
        let (network, dialer, listener, session) = try pair()
        #expect(dialer.leftFrom == [nil])
        #expect(listener.leftFrom == [listener.address.address])
        for case .established(_, _, let place, _) in listener.events {
            #expect(place.local == listener.address.address)
        }
        for case .established(_, _, let place, _) in dialer.events { #expect(place.local == nil) }
        dialer.address = Network.address(9)
        dialer.endpoint.probe(session)
        network.run(for: .seconds(1))
        var moved: AddressPair?
        for case .moved(_, let place) in listener.events { moved = place }
        #expect(moved == AddressPair(Network.address(9), from: listener.address.address))
        #expect(listener.leftFrom == [listener.address.address])
    }

    @Test func streamsCarryOneMessageEachWay() throws {
        let (network, dialer, listener, session) = try pair()
        let accepted = try #require(listener.established)
        for (from, to, own, other) in [(dialer, listener, session, accepted), (listener, dialer, accepted, session)] {
            let question = (0..<5000).map { UInt8(truncatingIfNeeded: $0) }
            let stream = try #require(from.endpoint.open(question, on: own))
            network.run(for: .milliseconds(100))
            #expect(to.received(on: stream) == (question, true))
            to.endpoint.answer([7, 8, 9], on: stream, of: other)
            network.run(for: .milliseconds(100))
            #expect(from.received(on: stream) == ([7, 8, 9], true))
        }
    }

    @Test func streamCreditComesBack() throws {
        let (network, dialer, listener, session) = try pair()
        let accepted = try #require(listener.established)
        for number in 0..<50 {
            let stream = try #require(dialer.endpoint.open([UInt8(number)], on: session), "stream \(number)")
            network.run(for: .milliseconds(20))
            listener.endpoint.answer([1], on: stream, of: accepted)
            network.run(for: .milliseconds(20))
        }
    }

    @Test func idleSessionsAreKeptAlive() throws {
        let (network, dialer, listener, _) = try pair()
        network.run(for: .seconds(65))
        #expect(dialer.ends.isEmpty && listener.ends.isEmpty)
    }

    @Test func aVanishedPeerEndsTheSession() throws {
        let (network, dialer, listener, _) = try pair()
        listener.isConnected = false
        network.run(for: .seconds(45))
        #expect(dialer.ends == [.timeout])
    }

    @Test func closingTellsThePeer() throws {
        let (network, dialer, listener, session) = try pair()
        dialer.endpoint.close(session, code: 7, now: network.now)
        network.run(for: .seconds(2))
        #expect(listener.ends == [.closedByPeer(code: 7)])
        #expect(dialer.ends == [.closed])
        #expect(dialer.endpoint.connectionCount == 0)
        #expect(listener.endpoint.connectionCount == 0)
    }

    @Test func aProbeIsAnsweredWithinARoundTrip() throws {
        let (network, dialer, _, session) = try pair()
        network.run(for: .seconds(3))
        let asked = network.now
        dialer.endpoint.probe(session)
        network.run(for: .milliseconds(50))
        #expect(try #require(dialer.endpoint.lastAuthentic(of: session)) >= asked)
    }

    @Test func aRestartedPeerResetsTheSession() throws {
        let network = Network()
        let dialer = try network.add(Identity.generate())
        let identity = try Identity.generate()
        let listener = try network.add(identity)
        listener.endpoint.authorize([dialer.key: PeerTerms(streams: 4)])
        let session = try #require(dialer.endpoint.dial(listener.key, at: listener.address, now: network.now))
        network.run(for: .milliseconds(100))
        listener.isConnected = false
        let restarted = try network.add(identity)
        restarted.address = listener.address
        dialer.endpoint.probe(session)
        network.run(for: .milliseconds(50))
        #expect(dialer.ends == [.reset])
    }

    @Test func theListenerFollowsTheDialer() throws {
        let (network, dialer, listener, session) = try pair()
        let accepted = try #require(listener.established)
        dialer.address = Network.address(99)
        dialer.endpoint.probe(session)
        network.run(for: .seconds(1))
        var moves: [Endpoint] = []
        for case .moved(accepted, let endpoint) in listener.events { moves.append(endpoint.remote) }
        #expect(moves.last == dialer.address)
        let stream = try #require(listener.endpoint.open([1], on: accepted))
        network.run(for: .milliseconds(100))
        #expect(dialer.received(on: stream) == ([1], true))
    }
}
