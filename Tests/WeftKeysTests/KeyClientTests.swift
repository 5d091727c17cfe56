// SPDX-License-Identifier: Apache-2.0
import Synchronization
import Testing
import Weft
import WeftControl
import WeftKeys
import WeftUDP

@Suite("A client asks a server over loopback", .timeLimit(.minutes(1)))
struct KeyClientTests {
    /// A server that runs while it's needed, and one identity that may ask it.
    private final class Server: Sendable {
        let server: KeyServer
        let engine: Engine
        let endpoint: Endpoint
        let key: PublicKey
        private let thread: Mutex<WorkerThread?>

        init(for initiator: PublicKey) throws {
            let identity = try Identity.generate()
            let wake = try WakeEvent()
            let link = try OwnPort(wake: wake)
            engine = try Engine(EngineConfiguration(lanes: 1))
            server = try KeyServer(
                identity, .init(localPrefixes: [Self.prefix], lifetime: .seconds(3600)),
                initiators: [AuthorizedInitiator(publicKey: initiator, prefixes: [Self.prefix], networks: 400)],
                engine: engine, over: link, wake: wake, log: { _ in })
            endpoint = Endpoint(IPAddress(v4: 0x7F00_0001), port: link.port)
            key = identity.publicKey
            thread = Mutex(nil)
            try thread.withLock { [server] thread in thread = try WorkerThread(name: "server") { server.run() } }
        }

        static let prefix = Prefix("10.9.0.0/16") ?? Prefix(host: IPAddress(v4: 0))

        func stop() {
            server.close()
            thread.withLock { $0.take()?.join() }
        }

        /// Waits until the server has so many networks.
        func expect(networks count: Int) async throws {
            for _ in 0..<500 where server.networks().count != count { try await Task.sleep(for: .milliseconds(10)) }
            #expect(server.networks().count == count)
            #expect(engine.networks().count == count)
        }
    }

    private static func address(_ number: Int) -> IPAddress { IPAddress(v4: 0x0A09_0100 + UInt32(number)) }

    @Test("Many tasks ask at once, and each gets a network of its own; what is released goes")
    func grants() async throws {
        let identity = try Identity.generate()
        let server = try Server(for: identity.publicKey)
        defer { server.stop() }
        let client = try KeyClient(identity, .init(responder: server.key, endpoint: server.endpoint))
        defer { client.close() }
        let grants = try await withThrowingTaskGroup(of: KeyGrant.self) { group in
            for number in 0..<300 { group.addTask { try await client.network(for: Self.address(number)) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(Set(grants.map(\.vni)).count == 300)
        #expect(Set(grants.map(\.overlayAddress)) == Set((0..<300).map(Self.address)))
        try await server.expect(networks: 300)
        for grant in grants.dropFirst() { client.release(grant) }
        try await server.expect(networks: 1)
        await #expect(throws: KeyRequestError.rejected) {
            _ = try await client.network(for: IPAddress(v4: 0x0B00_0001))
        }
    }

    @Test("A network that the engine refuses goes back")
    func unusable() async throws {
        let identity = try Identity.generate()
        let server = try Server(for: identity.publicKey)
        defer { server.stop() }
        let client = try KeyClient(identity, .init(responder: server.key, endpoint: server.endpoint))
        defer { client.close() }
        let engine = try Engine(EngineConfiguration(lanes: 1))
        let one = try await client.network(for: Self.address(1), addedTo: engine, prefixes: [Server.prefix])
        await #expect(throws: EngineError.self) {
            // The same route.
            _ = try await client.network(for: Self.address(1), addedTo: engine, prefixes: [Server.prefix])
        }
        try await server.expect(networks: 1)
        #expect(engine.networks().map(\.vni) == [one.vni])
    }

    @Test("A closed client's networks go; a stopped server's are reported lost")
    func ends() async throws {
        let identity = try Identity.generate()
        let server = try Server(for: identity.publicKey)
        let lost = Mutex<[UInt32]>([])
        let configuration = KeyRequester.Configuration(responder: server.key, endpoint: server.endpoint)
        let first = try KeyClient(identity, configuration)
        _ = try await first.network(for: Self.address(1))
        try await server.expect(networks: 1)
        first.close()
        try await server.expect(networks: 0)
        await #expect(throws: KeyRequestError.closed) { _ = try await first.network(for: Self.address(1)) }
        let second = try KeyClient(identity, configuration) { vnis in lost.withLock { $0 += vnis } }
        defer { second.close() }
        let grant = try await second.network(for: Self.address(2))
        server.stop()
        for _ in 0..<500 where lost.withLock({ $0.isEmpty }) { try await Task.sleep(for: .milliseconds(10)) }
        #expect(lost.withLock { $0 } == [grant.vni])
    }

    @Test("Nobody there")
    func nobody() async throws {
        let client = try KeyClient(
            try Identity.generate(),
            .init(
                responder: try Identity.generate().publicKey, endpoint: Endpoint(IPAddress(v4: 0x7F00_0001), port: 9),
                timeout: .milliseconds(500)))
        defer { client.close() }
        await #expect(throws: KeyRequestError.timeout) { _ = try await client.network(for: Self.address(1)) }
    }
}
