// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftControl

@testable import WeftQUIC

/// Many streams of one session: one after the other and at once, as far as the peer allows and no further.
struct StreamTests {
    private static let limit = 256

    private struct Pair {
        let network: Network
        let dialer: Network.Host
        let listener: Network.Host
        let session: SessionID
        let accepted: SessionID

        init() throws {
            network = Network()
            dialer = try network.add(Identity.generate())
            listener = try network.add(Identity.generate())
            listener.endpoint.authorize([dialer.key: PeerTerms(streams: limit)])
            session = try #require(dialer.endpoint.dial(listener.key, at: listener.address, now: network.now))
            network.run(for: .milliseconds(100))
            accepted = try #require(listener.established)
            listener.events.removeAll()
        }

        /// The streams whose questions have come since this was asked last.
        func takeAsked() -> [StreamID] {
            defer { listener.events.removeAll() }
            return listener.events.compactMap { event in
                if case .received(_, let stream, _, isEnd: true) = event { stream } else { nil }
            }
        }

        /// Answers whatever has been asked.
        func answerAll() -> Int {
            let asked = takeAsked()
            for stream in asked { listener.endpoint.answer([UInt8](repeating: 7, count: 11), on: stream, of: accepted) }
            return asked.count
        }
    }

    private static let question = [UInt8](repeating: 1, count: 24)

    @Test func aThousandExchangesInARow() throws {
        let pair = try Pair()
        for number in 0..<1000 {
            _ = try #require(pair.dialer.endpoint.open(Self.question, on: pair.session), "stream \(number)")
            pair.network.settle()
            try #require(pair.answerAll() == 1)
            pair.network.run(for: .milliseconds(10))
        }
        let answered = pair.dialer.events.filter { event in
            if case .received(_, _, _, isEnd: true) = event { true } else { false }
        }
        #expect(answered.count == 1000)
    }

    @Test func asManyAtOnceAsThePeerAllows() throws {
        let pair = try Pair()
        var datagrams = 0
        pair.network.passes = { _, _, _ in
            datagrams += 1
            return true
        }
        for round in 0..<4 {
            for number in 0..<Self.limit {
                _ = try #require(
                    pair.dialer.endpoint.open(Self.question, on: pair.session), "round \(round), stream \(number)")
            }
            #expect(pair.dialer.endpoint.open(Self.question, on: pair.session) == nil, "one more than the limit")
            pair.network.settle()
            #expect(pair.answerAll() == Self.limit)
            pair.network.run(for: .milliseconds(200))
        }
        let answered = pair.dialer.events.filter { event in
            if case .received(_, _, _, isEnd: true) = event { true } else { false }
        }
        #expect(answered.count == 4 * Self.limit)
        // Streams share datagrams.
        #expect(datagrams < 4 * Self.limit, "\(datagrams) datagrams")
    }

    enum Quitter: CaseIterable { case dialer, listener, both }

    @Test(arguments: Quitter.allCases, [true, false])
    func creditComesBackForAbandonedStreams(quitter: Quitter, askedFirst: Bool) throws {
        let pair = try Pair()
        for number in 0..<2 * Self.limit {
            let stream = try #require(pair.dialer.endpoint.open(Self.question, on: pair.session), "stream \(number)")
            // A stream that the listener never heard of is the dialer's alone to give up.
            if askedFirst || quitter != .dialer { pair.network.settle() }
            if quitter != .listener { pair.dialer.endpoint.abandon(stream, of: pair.session) }
            if quitter != .dialer { pair.listener.endpoint.abandon(stream, of: pair.accepted) }
            pair.network.run(for: .milliseconds(10))
        }
        // All of the credit, not just some.
        pair.network.run(for: .milliseconds(200))
        for number in 0..<Self.limit {
            _ = try #require(pair.dialer.endpoint.open(Self.question, on: pair.session), "stream \(number)")
        }
        #expect(pair.dialer.ends.isEmpty && pair.listener.ends.isEmpty)
    }

    @Test func largeMessagesOnManyStreamsAtOnce() throws {
        let pair = try Pair()
        // Together more than a session's window, and each more than a stream's.
        let message = (0..<20_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
        var streams: [StreamID] = []
        for _ in 0..<32 {
            streams.append(try #require(pair.dialer.endpoint.open(message, on: pair.session)))
        }
        pair.network.run(for: .seconds(2))
        var received: [StreamID: [UInt8]] = [:]
        for case .received(_, let stream, let bytes, _) in pair.listener.events {
            received[stream, default: []] += bytes
        }
        for stream in streams { #expect(received[stream] == message) }
    }
}
