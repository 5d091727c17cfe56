// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftControl
import WeftKeys
import WeftQUIC
import WeftUDP

/// The key plane against an independent end in either role: grant, keys, release.
@Suite(
    .serialized, .timeLimit(.minutes(1)),
    .enabled(if: Aioquic.interpreter != nil, "needs aioquic: scripts/install-aioquic.sh installs it"))
struct AioquicKeyPlaneTests {
    /// Our key server, on a socket of the loopback and a thread of its own.
    private final class Server {
        let key: PublicKey
        let engine: Engine
        let port: UInt16
        let transport: KeepingTransport
        let loop: ControlLoop<KeyResponder>
        private var thread: WorkerThread?

        init(for initiators: [PublicKey]) throws {
            let own = try Identity.generate()
            let wake = try WakeEvent()
            let link = try OwnPort(wake: wake)
            let engine = try Engine(EngineConfiguration(lanes: 1))
            let transport = KeepingTransport(try QUICEndpoint(own))
            (key, port, self.engine, self.transport) = (own.publicKey, link.port, engine, transport)
            let loop = try ControlLoop(over: link, wake: wake) {
                let responder = KeyResponder(KeyPlane.configuration(), over: transport, engine: engine, log: { _ in })
                responder.setInitiators(
                    initiators.map { AuthorizedInitiator(publicKey: $0, prefixes: [KeyPlane.prefix("10.9.0.0/16")]) },
                    at: SystemCall.now())
                return responder
            }
            self.loop = loop
            thread = try WorkerThread(name: "responder") { loop.run() }
        }

        func close() {
            loop.close()
            thread.take()?.join()
        }
    }

    @Test("aioquic asks us for a network and gives it back")
    func asks() throws {
        let initiator = try Identity.generate()
        let server = try Server(for: [initiator.publicKey])
        defer { server.close() }
        let engine = server.engine
        let peer = try Aioquic.Peer("client", initiator, pinning: server.key, port: server.port, "key-plane")
        wait { !engine.networks().isEmpty }
        let network = try #require(engine.networks().first)
        let keys = try server.loop.withMachine { _, _ in
            guard let keys = server.transport.masterKeys else { throw NoSecret() }
            let transmit = try keys.hex(try #require(network.transmit).spi)
            return (receive: try keys.hex(try #require(network.receive.first).spi), transmit: transmit)
        }
        let result = try peer.result()
        #expect(result.end == "released" && result.code == 0, "\(result)")
        #expect(result.vni == network.vni)
        #expect(result.receive_key == keys.transmit && result.transmit_key == keys.receive)
        #expect(network.routes.map(\.destination) == [KeyPlane.prefix("10.9.1.1/32")])
        #expect(engine.networks().isEmpty)
    }

    @Test(
        "A tenant that breaks the protocol ends its own session, and another is granted its network",
        arguments: ["retire", "new-ids", "unknown-frame", "cut-frame"])
    func hostileTenant(behaviour: String) throws {
        let hostile = try Identity.generate()
        let good = try Identity.generate()
        let server = try Server(for: [hostile.publicKey, good.publicKey])
        defer { server.close() }
        let peer = try Aioquic.Peer(
            "client", hostile, pinning: server.key, port: server.port, "tenant-\(behaviour)")
        let ended = try peer.result()
        #expect(ended.end == "closed" && ended.code == HostilePeerTests.protocolViolation, "\(ended)")
        let tenant = try Aioquic.Peer("client", good, pinning: server.key, port: server.port, "key-plane")
        let result = try tenant.result()
        #expect(result.end == "released" && result.code == 0, "\(result)")
    }

    @Test("We ask aioquic for a network and give it back")
    func grants() throws {
        let own = try Identity.generate()
        let responder = try Identity.generate()
        let port = UInt16.random(in: 20_000...30_000)
        let peer = try Aioquic.Peer("server", responder, pinning: own.publicKey, port: port, "key-plane")
        peer.waitUntilListening()
        let wake = try WakeEvent()
        let transport = KeepingTransport(try QUICEndpoint(own))
        let endpoint = Endpoint(IPAddress(v4: 0x7F00_0001), port: port)
        let loop = try ControlLoop(over: try OwnPort(wake: wake), wake: wake) {
            KeyRequester(.init(responder: responder.publicKey, endpoint: endpoint), over: transport)
        }
        let thread = try WorkerThread(name: "requester") { loop.run() }
        loop.withMachine { requester, now in _ = requester.request(KeyPlane.address("10.9.1.1"), at: now) }
        var grant: KeyGrant?
        wait {
            if case .granted(_, let granted) = loop.withMachine({ requester, _ in requester.nextEvent() }) {
                grant = granted
            }
            return grant != nil
        }
        let granted = try #require(grant)
        #expect(granted.vni == 77 && granted.endpoint == endpoint)
        let keys = try loop.withMachine { requester, now in
            guard let keys = transport.masterKeys else { throw NoSecret() }
            requester.release(77, at: now)
            return (
                receive: try keys.hex(granted.keys.receiveSPI), transmit: try keys.hex(granted.keys.transmitSPI)
            )
        }
        let result = try peer.result()
        #expect(result.end == "released", "\(result)")
        #expect(result.receive_key == keys.transmit && result.transmit_key == keys.receive)
        loop.close()
        thread.join()
    }

    /// Waits for something, eight seconds at most.
    private func wait(until isSo: () -> Bool) {
        let end = SystemCall.now().advanced(by: .seconds(8))
        let wake = try? WakeEvent()
        while !isSo(), SystemCall.now() < end { _ = try? wake?.wait(for: -1, events: 0, timeout: 10) }
    }
}
