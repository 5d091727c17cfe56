// SPDX-License-Identifier: Apache-2.0
import Foundation
import Synchronization
import Testing
import Weft
import WeftCommand
import WeftControl
import WeftTestSupport
import WeftUDP

@testable import WeftNode
@testable import WeftPair

/// A control process in an attacker's hands: whatever it says, it reaches its own peers' keys and nothing else.
@Suite("A hostile control process", .serialized)
struct HostileControlTests {
    /// How many messages; a million in the long run.
    private static let rounds =
        Int(ProcessInfo.processInfo.environment["WEFT_HOSTILE_ROUNDS"] ?? "") ?? 20_000

    /// Notes where datagrams would go.
    private final class Link: ControlLink {
        let targets = Mutex<Set<Endpoint>>([])
        let descriptor: Int32 = -1
        func receive(timeout: Int32, wake: WakeEvent, _ take: ([UInt8], AddressPair) -> Void) {}
        func send(_ datagram: RawSpan, to place: AddressPair) { _ = targets.withLock { $0.insert(place.remote) } }
    }

    private static let places = ["192.0.2.2:6081", "192.0.2.3:6081", "[2001:db8::9]:6081"].compactMap { Endpoint($0) }
    private static let local = [Prefix("10.77.0.1/32"), Prefix("fd77::1/128")].compactMap(\.self)

    private static func route(_ text: String) -> Route {
        Route(source: local[0], destination: Prefix(text) ?? local[0])
    }

    private static func engine() throws -> Engine {
        let engine = try Engine(EngineConfiguration(lanes: 1))
        for (vni, place, prefix) in [
            (1, places[0], "10.1.0.0/16"), (2, places[1], "10.2.0.0/16"), (9, places[2], "10.9.0.0/16"),
        ] {
            try engine.add(NetworkConfiguration(vni: UInt32(vni), endpoint: place, routes: [route(prefix)]))
        }
        try engine.add(NetworkConfiguration(numbered, endpoint: places[0], routes: [route("10.3.0.0/16")]))
        // A peer whose keys people carried: no control process has anything to do with it.
        let manual = ManualKeys(
            epoch: 5, sendKey: try PacketKey([UInt8](repeating: 1, count: 16)),
            receiveKey: try PacketKey([UInt8](repeating: 2, count: 16)))
        try engine.installManualKeys(manual, for: .vni(9), at: SystemCall.now())
        return engine
    }

    /// The networks that are there from the beginning: three served peers', and one of nobody's.
    private static let ours: Set<NetworkID> = [.vni(1), .vni(2), .vni(9), numbered]
    /// One whose VNIs come with its keys.
    private static let numbered = NetworkID.number(1)

    /// What must not change: another peer's SAs and endpoint, and everybody's routes.
    private static func untouchable(_ engine: Engine) -> [String] {
        engine.networks().filter { ours.contains($0.id) }.map { network in
            let routes = "\(network.id) \(network.routes)"
            guard network.id == .vni(9) else { return routes }
            return routes
                + " \(String(describing: network.endpoint)) \(network.transmit?.spi ?? 0) \(network.receive.map(\.spi))"
        }
    }

    private struct Fixture {
        let engine: Engine
        let link = Link()
        let names: NameRelay
        let executor: ControlExecutor

        init(servingKeys: Bool) throws {
            engine = try HostileControlTests.engine()
            let identities = try (0..<3).map { _ in try Identity.generate().publicKey }
            let served: ServedConfiguration
            if servingKeys {
                let initiators =
                    [
                        3: AuthorizedInitiator(
                            publicKey: identities[0], prefixes: [try #require(Prefix("10.80.0.0/24"))], networks: 20)
                    ] as [UInt32: AuthorizedInitiator]
                served = ServedConfiguration(
                    peers: [:], tunnelled: [try #require(Prefix("10.0.0.0/8"))],
                    keyServer: .init(
                        link: .shared,
                        configuration: .init(
                            localPrefixes: HostileControlTests.local, reserved: [], lifetime: .seconds(3600)),
                        initiators: initiators))
            } else {
                let peers = identities.enumerated().map { number, key in
                    number == 2
                        ? ControlPeer(publicKey: key, network: HostileControlTests.numbered, vni: 10)
                        : ControlPeer(
                            publicKey: key, vni: UInt32(number + 1), endpoint: HostileControlTests.places[number],
                            isPinned: number == 1)
                }
                served = ServedConfiguration(peers: [.shared: peers], tunnelled: [try #require(Prefix("10.0.0.0/8"))])
            }
            names = NameRelay(served, mark: 0)
            executor = ControlExecutor(served, engine, [.shared: link], names, Log(name: "hostile"))
        }

        /// Takes a message as the service does; whether all of it was one.
        func take(_ message: [UInt8], at now: Instant) -> Bool {
            var offset = 0
            do throws(WireError) {
                while let record = try ToData.next(in: unsafe message.span.bytes, at: &offset) {
                    if case .log = record { continue }
                    executor.take(record, at: now)
                }
                return true
            } catch { return false }
        }
    }

    @Test("changes its own peers' keys at most, over many messages", arguments: [false, true])
    func hostile(servingKeys: Bool) throws {
        var random = SeededGenerator.fresh()
        let fixture = try Fixture(servingKeys: servingKeys)
        let before = Self.untouchable(fixture.engine)
        var forge = HostileMessages()
        var good = 0
        for round in 0..<Self.rounds {
            let now = Instant(nanoseconds: 1 << 40 + UInt64(round) * 1_000_000)
            if fixture.take(forge.next(&random), at: now) { good += 1 }
            if round % 1000 == 0 { fixture.engine.sweep(at: now) }
        }
        let seed = Comment(rawValue: "seed \(random.seed)")
        #expect(good > Self.rounds / 10 && good < Self.rounds, "\(good) good messages; \(seed)")
        #expect(fixture.executor.refused > 0, seed)
        #expect(Self.untouchable(fixture.engine) == before, seed)
        for network in fixture.engine.networks() where !Self.ours.contains(network.id) {
            #expect(servingKeys, seed)
            for route in network.routes {
                #expect(Prefix("10.80.0.0/24")?.contains(route.destination) == true, "\(route); \(seed)")
            }
            let isTunnelled = network.endpoint.flatMap { Prefix("10.0.0.0/8")?.contains($0.address) }
            #expect(isTunnelled != true, "\(String(describing: network.endpoint)); \(seed)")
        }
        #expect(fixture.engine.networks().count <= 4 + (servingKeys ? 40 : 0), seed)
        if !servingKeys {
            #expect(fixture.engine.networks().first { $0.id == .vni(2) }?.endpoint == Self.places[1], "pinned; \(seed)")
        }
        for network in fixture.engine.networks() {
            guard network.id != Self.numbered else {
                #expect(network.receive.allSatisfy { ![0, 1, 2, 9].contains($0.vni) }, seed)
                continue
            }
            #expect(network.receive.allSatisfy { $0.vni == network.id.vni }, seed)
        }
        for target in fixture.link.targets.withLock({ $0 }) {
            #expect(target.canBeReached, "\(target); \(seed)")
        }
    }

    @Test("A port is silent from a grant's refusal on, until that was heard of")
    func refusedGrant() throws {
        let fixture = try Fixture(servingKeys: true)
        let now = Instant(nanoseconds: 1 << 40)
        let pair = SAPair(
            receiveSPI: 1, receiveKey: try PacketKey([UInt8](repeating: 1, count: 16)), transmitSPI: 2,
            transmitKey: try PacketKey([UInt8](repeating: 2, count: 16)), expiry: .distantFuture)
        func grant(_ vni: UInt32, _ address: String) throws {
            let record = GrantRecord(
                vni: vni, address: try #require(IPAddress(address)), initiator: 3, endpoint: Self.places[0],
                isReceiveOnly: false, expiry: .distantFuture)
            fixture.executor.take(.grantAdded(.shared, record, pair), at: now)
            fixture.executor.take(.apply(.shared), at: now)
        }
        func hears() -> Bool {
            fixture.link.targets.withLock { $0.removeAll() }
            fixture.executor.take(.datagram(.shared, to: AddressPair(Self.places[0]), [1]), at: now)
            return !fixture.link.targets.withLock { $0.isEmpty }
        }
        try grant(100, "10.80.0.1")
        #expect(hears())
        // Somebody else's network, and an address that isn't the initiator's to have.
        for (vni, address) in [(9, "10.80.0.2"), (101, "10.81.0.1")] as [(UInt32, String)] { try grant(vni, address) }
        #expect(!hears())
        fixture.executor.take(.refusalHeard(.own), at: now)
        fixture.executor.take(.refusalHeard(.shared), at: now)
        #expect(!hears())
        fixture.executor.take(.refusalHeard(.shared), at: now)
        #expect(hears())
        // Another control process knows nothing of it.
        try grant(9, "10.80.0.2")
        fixture.executor.begin()
        #expect(hears())
    }

    @Test("is ended where it asks on and reads no answer")
    func unread() throws {
        let fixture = try Fixture(servingKeys: true)
        var control: FileDescriptor?
        let end = DataEnd(try PairSocket.makePair { other in control = .some(other) })
        let record = GrantRecord(
            vni: 9, address: IPAddress(v4: 0), initiator: 9, endpoint: Self.places[0], isReceiveOnly: false,
            expiry: .distantFuture)
        let pair = SAPair(
            receiveSPI: 1, receiveKey: try PacketKey([UInt8](repeating: 1, count: 16)), transmitSPI: 2,
            transmitKey: try PacketKey([UInt8](repeating: 2, count: 16)), expiry: .distantFuture)
        #expect(throws: PairFailure.unread) {
            for _ in 0..<10_000 {
                for _ in 0..<1000 { fixture.executor.take(.grantAdded(.shared, record, pair), at: .distantFuture) }
                try fixture.executor.answer(end)
                try end.flush()
            }
        }
        _ = control
    }

    @Test("counts what it likes, and nothing overflows")
    func counts() {
        let most = KeyServerStatus.Initiator(
            publicKey: "", name: "", state: "absent", sessions: .max, endpoint: nil, allowedIPs: [],
            networks: Int(UInt32.max), mostNetworks: 1, quarantined: Int(UInt32.max), grants: .max, releases: .max,
            delayed: .max, refusals: ["held": .max])
        let status = KeyServerStatus([most, most], networks: nil, turnedAway: .max)
        #expect(
            status.totals.grants == .max - 1 && status.totals.delayed == .max - 1
                && status.totals.refusals == ["held": .max - 1])
    }

    @Test("is ended when what it sends is no message, and another is started")
    func malformed() async throws {
        let launcher = try BabblingLauncher()
        let engine = try Self.engine()
        let served = ServedConfiguration(peers: [.shared: []])
        let service = try ControlService(
            served, engine, launcher, links: [:], wake: WakeEvent(), Log(name: "hostile"))
        let thread = Mutex<WorkerThread?>(nil)
        try thread.withLock { $0 = try WorkerThread(name: "control") { try? service.run() } }
        for _ in 0..<1000 where launcher.starts < 3 { try await Task.sleep(for: .milliseconds(10)) }
        service.close()
        thread.withLock { $0.take() }?.join()
        #expect(launcher.starts >= 3)
        #expect(service.state.withLock { $0.process?.lastEnd }?.contains("no message") == true)
    }
}
