// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftTestSupport

@testable import WeftDiscovery

@Suite("STUN client")
struct STUNClientTests {
    private var start: Instant { Instant(nanoseconds: 5_000_000_000) }

    private func endpoints(_ texts: [String]) throws -> [Endpoint] { try texts.map { try #require(Endpoint($0)) } }

    private func client(_ servers: [String]) throws -> STUNClient {
        var generator = SeededGenerator(seed: 1)
        return STUNClient(servers: try endpoints(servers), at: start, using: &generator)
    }

    private func requests(_ client: inout STUNClient, at now: Instant) -> [(bytes: [UInt8], server: Endpoint)] {
        var all: [(bytes: [UInt8], server: Endpoint)] = []
        while let next = client.nextRequest(at: now) { all.append(next) }
        return all
    }

    private func answer(_ request: [UInt8], _ seen: String) throws -> [UInt8] {
        let message = try #require(STUNMessage(request))
        let source = try #require(Endpoint(seen))
        return try #require(STUNMessage.answer(to: message, from: source))
    }

    @Test("two servers that see the same endpoint: the mapping doesn't depend on the destination; else it does")
    func dependence() throws {
        for (second, depends) in [("203.0.113.5:4000", false), ("203.0.113.5:4001", true), ("203.0.113.6:4000", true)] {
            var client = try client(["192.0.2.1:3478", "192.0.2.2:3478"])
            let asked = requests(&client, at: start)
            #expect(asked.map(\.server) == (try endpoints(["192.0.2.1:3478", "192.0.2.2:3478"])))
            let later = start.advanced(by: .milliseconds(20))
            let taken1 = client.receive(
                try answer(asked[0].bytes, "203.0.113.5:4000"), from: asked[0].server, at: later)
            #expect(taken1)
            #expect(client.mappings[.v4]?.dependsOnDestination == nil && !client.isDone)
            let taken2 = client.receive(try answer(asked[1].bytes, second), from: asked[1].server, at: later)
            #expect(taken2)
            #expect(client.isDone && client.nextTime == nil)
            #expect(client.mappings[.v4]?.endpoint == Endpoint("203.0.113.5:4000"))
            #expect(client.mappings[.v4]?.dependsOnDestination == depends)
            let seen = try #require(Endpoint("203.0.113.5:4000"))
            #expect(client.queries[0].outcome == .mapped(seen, roundTrip: .milliseconds(20)))
        }
    }

    @Test("families are told apart")
    func families() throws {
        var client = try client(["192.0.2.1:3478", "[2001:db8::1]:3478"])
        let asked = requests(&client, at: start)
        client.receive(try answer(asked[0].bytes, "203.0.113.5:4000"), from: asked[0].server, at: start)
        client.receive(try answer(asked[1].bytes, "[2001:db8::9]:4000"), from: asked[1].server, at: start)
        #expect(client.mappings.count == 2)
        #expect(client.mappings[.v6]?.endpoint == Endpoint("[2001:db8::9]:4000"))
        #expect(client.mappings[.v6]?.dependsOnDestination == nil)
    }

    @Test("it asks again after 0.5 and 1.5 seconds, and gives up after 3.5")
    func retransmission() throws {
        var client = try client(["192.0.2.1:3478"])
        var sent: [Double] = []
        var bytes: Set<[UInt8]> = []
        for step in 0...40 {
            let now = start.advanced(by: .milliseconds(step * 100))
            for request in requests(&client, at: now) {
                sent.append(Double(step) / 10)
                bytes.insert(request.bytes)
            }
            if step == 34 { #expect(!client.isDone) }
        }
        #expect(sent == [0, 0.5, 1.5])
        #expect(bytes.count == 1)
        #expect(client.queries[0].outcome == .noAnswer && client.isDone)
    }

    @Test("what nobody asked for is not believed")
    func strangers() throws {
        var client = try client(["192.0.2.1:3478", "192.0.2.1:3478"])
        #expect(client.queries.count == 1)
        let asked = requests(&client, at: start)[0]
        let good = try answer(asked.bytes, "203.0.113.5:4000")
        let elsewhere = try #require(Endpoint("192.0.2.1:3479"))
        let taken3 = client.receive(good, from: elsewhere, at: start)
        #expect(!taken3)
        var other = good
        other[19] ^= 1
        let taken4 = client.receive(other, from: asked.server, at: start)
        #expect(!taken4)
        let taken5 = client.receive(asked.bytes, from: asked.server, at: start)
        #expect(!taken5)
        let taken6 = client.receive([], from: asked.server, at: start)
        #expect(!taken6)
        let taken7 = client.receive(good, from: asked.server, at: start)
        #expect(taken7)
        let taken8 = client.receive(good, from: asked.server, at: start)
        #expect(!taken8)
    }

    @Test("a refusal and a failure to send are kept in words")
    func failures() throws {
        var client = try client(["192.0.2.1:3478", "192.0.2.2:3478"])
        let asked = requests(&client, at: start)
        let request = try #require(STUNMessage(asked[0].bytes))
        var refusal = STUNWriter(.failure, request.transaction)
        refusal.appendUnknown([3])
        let taken9 = client.receive(refusal.finished(fingerprint: true), from: asked[0].server, at: start)
        #expect(taken9)
        #expect(client.queries[0].outcome == .refused(.init(code: 420, reason: "Unknown ")))
        client.failed(asked[1].server, "no route")
        #expect(client.queries[1].outcome == .notSent("no route"))
        #expect(client.isDone && client.mappings.isEmpty)
    }

    @Test(
        "servers are named by host and port",
        arguments: [
            ("stun.example.org", "stun.example.org:3478"), ("stun.example.org:19302", "stun.example.org:19302"),
            ("192.0.2.1", "192.0.2.1:3478"), ("192.0.2.1:1", "192.0.2.1:1"), ("[2001:db8::1]", "[2001:db8::1]:3478"),
            ("[2001:db8::1]:99", "[2001:db8::1]:99"), ("", nil), (":3478", nil), ("a:0", nil), ("a:65536", nil),
            ("a:", nil), ("a b", nil), ("[::1", nil), ("[x]:1", nil), ("2001:db8::1", nil), ("-x", nil), ("a:01", nil),
        ] as [(String, String?)])
    func names(text: String, wanted: String?) {
        #expect(STUNServerName(text)?.description == wanted)
    }

    @Test("addresses need no resolver")
    func literals() throws {
        for (text, endpoint) in [
            ("192.0.2.1:5", "192.0.2.1:5"), ("[::1]", "[::1]:3478"), ("localhost", "127.0.0.1:3478"),
        ] {
            let wanted = try #require(Endpoint(endpoint))
            let found = try #require(STUNServerName(text)).resolve()
            #expect(found.contains(wanted), "\(text)")
        }
    }
}
