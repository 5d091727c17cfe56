// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftControl
import WeftTestSupport

@testable import WeftQUIC

@Suite("Silence and fairness towards strangers")
struct SilenceTests {
    private static func copy(_ identity: borrowing Identity) throws -> Identity {
        let pem = identity.pem()
        return try Identity(pem: pem.span)
    }

    /// The first packets that a dialler sends who takes another key for the listener's.
    private func firstPackets(to key: PublicKey, count: Int, now: Instant) throws -> [[UInt8]] {
        let stranger = try QUICEndpoint(Identity.generate())
        for _ in 0..<count { _ = stranger.dial(key, at: Network.address(9), now: now) }
        var packets: [[UInt8]] = []
        stranger.flush(now: now) { packet, _ in packets.append(packet.indices.map { packet[$0] }) }
        return packets
    }

    private func answers(_ host: Network.Host, at now: Instant) -> Int {
        var count = 0
        host.endpoint.advance(to: now)
        host.endpoint.flush(now: now) { _, _ in count += 1 }
        return count
    }

    @Test("who doesn't know our key gets no byte, of whatever version; where somebody can't, he gets one")
    func untagged() throws {
        let network = Network()
        let listener = try network.add(Identity.generate())
        let packets = try firstPackets(to: Identity.generate().publicKey, count: 20, now: network.now)
        for speaks in PeerProtocol.allCases {
            listener.endpoint.authorize([try Identity.generate().publicKey: PeerTerms(streams: 4, speaks: speaks)])
            for (index, packet) in packets.enumerated() {
                var packet = packet
                if index % 2 == 1 { packet[4] = 9 }
                listener.endpoint.receive(packet.span, from: Network.address(UInt8(index + 50)), now: network.now)
            }
            #expect(answers(listener, at: network.now) == (speaks == .weft ? 0 : 20))
            #expect(listener.endpoint.connectionCount == 0)
        }
        #expect(listener.endpoint.counters.untagged == 20)
    }

    @Test("an endpoint resets its own sessions after a restart; another endpoint of the identity can't")
    func resets() throws {
        for other in [
            EndpointPlace(port: 6081, name: "weft0"), .init(port: 6082, name: "weft0"),
            .init(port: 6081, name: "weft1"),
        ] {
            let network = Network()
            let dialer = try network.add(Identity.generate())
            let identity = try Identity.generate()
            let place = EndpointPlace(port: 6081, name: "weft0")
            let listener = Network.Host(
                try QUICEndpoint(identity, at: place), identity.publicKey, at: Network.address(2))
            network.hosts.append(listener)
            listener.endpoint.authorize([dialer.key: PeerTerms(streams: 4)])
            let session = try #require(dialer.endpoint.dial(listener.key, at: listener.address, now: network.now))
            network.run(for: .seconds(1))
            #expect(listener.established != nil)
            let successor = Network.Host(
                try QUICEndpoint(Self.copy(identity), at: other), identity.publicKey, at: listener.address)
            network.hosts[1] = successor
            _ = dialer.endpoint.open([1, 2, 3], on: session)
            network.run(for: .seconds(1))
            #expect(dialer.ends == (other == place ? [.reset] : []))
            #expect(successor.endpoint.counters.resets == (other == place ? 1 : 0))
        }
    }

    /// Begins handshakes that go no further: each source calls, sends its token back, and says no more.
    private func holdHandshakes(_ listener: Network.Host, sources: Range<UInt32>, each: Int, now: Instant) throws {
        let stranger = try QUICEndpoint(Identity.generate())
        stranger.authorize([:])
        func sent(by endpoint: QUICEndpoint) -> [[UInt8]] {
            endpoint.advance(to: now)
            var packets: [[UInt8]] = []
            endpoint.flush(now: now) { packet, _ in packets.append(packet.indices.map { packet[$0] }) }
            return packets
        }
        for source in sources {
            let place = Endpoint(IPAddress(v4: source), port: 4711)
            for _ in 0..<each {
                _ = stranger.dial(listener.key, at: listener.address, now: now)
                for packet in sent(by: stranger) { listener.endpoint.receive(packet.span, from: place, now: now) }
                for packet in sent(by: listener.endpoint) {
                    stranger.receive(packet.span, from: listener.address, now: now)
                }
                for packet in sent(by: stranger) { listener.endpoint.receive(packet.span, from: place, now: now) }
                // What it is answered is lost.
                _ = sent(by: listener.endpoint)
            }
        }
    }

    @Test("whoever holds handshakes half open, from one place or a thousand, keeps no peer out")
    func heldHandshakes() throws {
        for (sources, each, most) in [(UInt32(1)..<2, 50, 32), (UInt32(1)..<1100, 1, 1024)] {
            let network = Network()
            var limits = QUICEndpoint.Limits()
            limits.callsPerSource = 100_000
            limits.calls = 1_000_000
            let dialer = try network.add(Identity.generate())
            let listener = try network.add(Identity.generate(), limits: limits)
            listener.endpoint.authorize([dialer.key: PeerTerms(streams: 4)])
            try holdHandshakes(listener, sources: sources, each: each, now: network.now)
            #expect(listener.endpoint.halfOpen.count == min(most, sources.count * each))
            #expect(listener.endpoint.counters.evicted == UInt64(max(0, sources.count * each - most)))
            _ = dialer.endpoint.dial(listener.key, at: listener.address, now: network.now)
            network.run(for: .milliseconds(100))
            #expect(listener.established != nil)
            #expect(listener.endpoint.halfOpen.count <= most)
        }
    }

    @Test("what anybody can send isn't heard")
    func forgedAnswers() throws {
        let network = Network()
        let dialer = try network.add(Identity.generate())
        let key = try Identity.generate().publicKey
        var first: [UInt8] = []
        network.passes = { bytes, _, _ in
            first = bytes
            return false
        }
        let session = try #require(dialer.endpoint.dial(key, at: Network.address(2), now: network.now))
        network.settle()
        try #require(first.count == 1200)
        // An Initial packet for the id that the dialler chose, of nobody who can seal one.
        let own = Array(first[23..<23 + Int(first[22])])
        let forged =
            [0xC3, 0, 0, 0, 1, UInt8(own.count)] + own + [0, 0, 0x44, 0x80] + [UInt8](repeating: 7, count: 1170)
        dialer.endpoint.receive(forged.span, from: Network.address(2), now: network.now)
        #expect(dialer.endpoint.lastHeard(of: session) == nil)
    }

    @Test("a caller without a whole ClientHello is gone after 3 s")
    func noHello() throws {
        let network = Network()
        let dialer = try network.add(Identity.generate())
        let listener = try network.add(Identity.generate())
        listener.endpoint.authorize([dialer.key: PeerTerms(streams: 4)])
        // The packet with the token is cut off in what it says, and sealed anew with keys that all know.
        var second: [UInt8] = []
        network.passes = { bytes, host, _ in
            if host === dialer, second.isEmpty, listener.endpoint.counters.retries > 0 { second = bytes }
            return host === listener || second.isEmpty
        }
        _ = dialer.endpoint.dial(listener.key, at: listener.address, now: network.now)
        network.settle()
        try #require(!second.isEmpty)
        var damaged = second
        damaged[damaged.count - 1] ^= 1
        // What doesn't decrypt is dropped, and leaves a handshake that hasn't begun.
        listener.endpoint.receive(damaged.span, from: dialer.address, now: network.now)
        dialer.isConnected = false
        #expect(listener.endpoint.connectionCount <= 1)
        network.run(for: .milliseconds(2900))
        let before = listener.endpoint.connectionCount
        // A closed one's ids stay known for a second.
        network.run(for: .milliseconds(1200))
        #expect(before <= 1 && listener.endpoint.connectionCount == 0)
    }
}
