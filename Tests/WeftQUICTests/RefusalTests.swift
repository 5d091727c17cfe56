// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing
import Weft
import WeftControl
import WeftTestSupport

@testable import WeftQUIC

struct RefusalTests {
    @Test func aStrangerIsRefused() throws {
        let network = Network()
        let dialer = try network.add(Identity.generate())
        let listener = try network.add(Identity.generate())
        listener.endpoint.authorize([try Identity.generate().publicKey: PeerTerms(streams: 4)])
        #expect(dialer.endpoint.dial(listener.key, at: listener.address, now: network.now) != nil)
        network.run(for: .seconds(1))
        #expect(listener.established == nil)
        #expect(listener.ends == [.wrongKey])
        #expect(dialer.ends == [.refused("it doesn't accept this end's key")])
    }

    @Test func theDialerWantsOneKeyOnly() throws {
        let network = Network()
        let dialer = try network.add(Identity.generate())
        let listener = try network.add(Identity.generate())
        // Who calls by another key isn't answered but where strangers are.
        listener.endpoint.authorize([dialer.key: PeerTerms(streams: 4, speaks: .firstRelease)])
        let other = try Identity.generate().publicKey
        #expect(dialer.endpoint.dial(other, at: listener.address, now: network.now) != nil)
        network.run(for: .seconds(1))
        #expect(dialer.established == nil && listener.established == nil)
        #expect(dialer.ends == [.wrongKey])
    }

    @Test func firstPacketsFromEverywhereLeaveNothingBehind() throws {
        let network = Network()
        let dialer = try network.add(Identity.generate())
        let listener = try network.add(Identity.generate())
        listener.endpoint.authorize([dialer.key: PeerTerms(streams: 4)])
        var first: [UInt8] = []
        network.passes = { bytes, host, _ in
            if host === dialer, first.isEmpty { first = bytes }
            return false
        }
        #expect(dialer.endpoint.dial(listener.key, at: listener.address, now: network.now) != nil)
        network.settle()
        let packet = first
        for number in UInt32(1)...20_000 {
            let source = Endpoint(IPAddress(v4: 0x0A00_0000 | number), port: 6081)
            listener.endpoint.receive(packet.span, from: source, now: network.now)
        }
        #expect(listener.endpoint.connectionCount == 0)
        #expect(listener.endpoint.counters.retries > 0)
        #expect(listener.endpoint.counters.overLimit > 0)
        #expect(listener.endpoint.counters.retries + listener.endpoint.counters.overLimit == 20_000)
    }

    @Test func aTokenIsGoodForItsSourceOnly() throws {
        let network = Network()
        let dialer = try network.add(Identity.generate())
        let listener = try network.add(Identity.generate())
        listener.endpoint.authorize([dialer.key: PeerTerms(streams: 4)])
        var packets: [[UInt8]] = []
        network.passes = { bytes, host, _ in
            if host === dialer { packets.append(bytes) }
            // The second first packet carries the token.
            return host === listener || packets.count == 1
        }
        #expect(dialer.endpoint.dial(listener.key, at: listener.address, now: network.now) != nil)
        network.settle()
        try #require(packets.count == 2)
        let second = packets[1]
        listener.endpoint.receive(second.span, from: Network.address(77), now: network.now)
        #expect(listener.endpoint.connectionCount == 0)
        #expect(listener.endpoint.counters.badTokens == 1)
        listener.endpoint.receive(second.span, from: dialer.address, now: network.now)
        #expect(listener.endpoint.connectionCount == 1)
    }

    @Test func garbageDoesNoHarm() throws {
        let network = Network()
        let dialer = try network.add(Identity.generate())
        let listener = try network.add(Identity.generate())
        listener.endpoint.authorize([dialer.key: PeerTerms(streams: 4)])
        var recorded: [[UInt8]] = []
        network.passes = { bytes, _, _ in
            recorded.append(bytes)
            return true
        }
        let session = try #require(dialer.endpoint.dial(listener.key, at: listener.address, now: network.now))
        network.run(for: .milliseconds(200))
        var generator = SeededGenerator.fresh()
        let count = ProcessInfo.processInfo.environment["WEFT_EXHAUSTIVE"] == nil ? 20_000 : 1_000_000
        for _ in 0..<count {
            var bytes = recorded.randomElement(using: &generator) ?? []
            switch Int.random(in: 0..<4, using: &generator) {
            case 0:
                bytes = (0..<Int.random(in: 0...1500, using: &generator)).map { _ in
                    .random(in: 0...255, using: &generator)
                }
            case 1: bytes = Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &generator)))
            default:
                for _ in 0..<Int.random(in: 1...8, using: &generator) where !bytes.isEmpty {
                    bytes[Int.random(in: 0..<bytes.count, using: &generator)] = .random(in: 0...255, using: &generator)
                }
            }
            let host = Bool.random(using: &generator) ? dialer : listener
            host.endpoint.receive(
                bytes.span, from: Network.address(.random(in: 1...9, using: &generator)), now: network.now)
        }
        network.run(for: .seconds(5))
        #expect(dialer.ends.isEmpty && listener.ends.isEmpty, "seed \(generator.seed)")
        #expect(dialer.endpoint.open([1], on: session) != nil)
        #expect(listener.endpoint.connectionCount <= 2)
    }
}
