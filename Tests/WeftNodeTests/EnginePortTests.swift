// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftCommand
import WeftControl
import WeftUDP

@testable import WeftNode
@testable import WeftPair

/// Both ways to an engine do the same: in one process, and by records between two.
@Suite("The way to the engine")
struct EnginePortTests {
    enum Way: CaseIterable {
        case local
        case pair
    }

    private static let place = Endpoint(IPAddress(v4: 0xC000_0202), port: 6081)
    private static let now = Instant(nanoseconds: 1 << 40)
    private static let later = Instant(nanoseconds: 1 << 41)

    /// An engine with network 7, a port to it, and what carries what waits from one side to the other.
    private final class Fixture {
        let engine: Engine
        let holder: PublicKey
        let port: any EnginePort
        private var waiting: [ToData] = []
        private var remote: RemoteEngine?
        private var executor: ControlExecutor?
        private var control: ControlEnd?
        private var data: DataEnd?

        init(_ way: Way) throws {
            let own = try #require(Prefix("10.77.0.1/32"))
            engine = try Engine(EngineConfiguration(lanes: 1))
            holder = try Identity.generate().publicKey
            try engine.add(
                NetworkConfiguration(
                    vni: 7, endpoint: place,
                    routes: [Route(source: own, destination: try #require(Prefix("10.77.0.2/32")))]))
            guard way == .pair else {
                let local = LocalEngine(engine)
                local.setLocalPrefixes([own])
                port = local
                return
            }
            var send: (ToData) -> Void = { _ in }
            let remote = RemoteEngine(.shared) { send($0) }
            port = remote
            send = { [unowned self] in waiting.append($0) }
            remote.setNumbers([holder: 3])
            self.remote = remote
            let initiator = AuthorizedInitiator(
                publicKey: holder, prefixes: [try #require(Prefix("10.80.0.0/16"))], networks: 10)
            let served = ServedConfiguration(
                peers: [.shared: [ControlPeer(publicKey: holder, vni: 7, endpoint: place)]],
                keyServer: .init(
                    link: .shared, configuration: .init(localPrefixes: [own], lifetime: .seconds(3600)),
                    initiators: [3: initiator]))
            executor = ControlExecutor(served, engine, [:], NameRelay(served, mark: 0), Log(name: "test"))
            data = DataEnd(
                try PairSocket.makePair { other in control = ControlEnd(PairSocket(other)) })
        }

        /// Carries all that waits, there and back.
        func carry() throws {
            guard let remote, let executor, let control, let data else { return }
            for record in waiting { control.send(record) }
            waiting.removeAll()
            try control.flush()
            try data.receive { executor.take($0, at: now) }
            try executor.tellActivity(data)
            try executor.answer(data)
            try data.flush()
            try control.receive(milliseconds: 0) { record in
                switch record {
                case .activity(let network, let activity): remote.take(activity, of: network)
                case .refused(let network, let why): remote.takeRefusal(of: network, why: why)
                case .grantRefused(_, let vni): remote.takeRefusedGrant(vni)
                default: Issue.record("\(record)")
                }
            }
        }

        var network: NetworkStatus? { engine.networks().first { $0.vni == 7 } }
    }

    private func key(_ byte: UInt8) throws -> PacketKey { try PacketKey([UInt8](repeating: byte, count: 16)) }

    private func pair(_ receive: UInt32, _ transmit: UInt32) throws -> SAPair {
        SAPair(
            receiveSPI: receive, receiveKey: try key(UInt8(receive)), transmitSPI: transmit,
            transmitKey: try key(UInt8(transmit)), expiry: Self.later)
    }

    @Test("SAs come in the order in which they were asked for, with their keys", arguments: Way.allCases)
    func associations(way: Way) throws {
        let fixture = try Fixture(way)
        fixture.port.install(try pair(1, 2), for: .vni(7), at: Self.now)
        fixture.port.installReceive(spi: 3, key: try key(3), expiry: Self.later, vni: 7, for: .vni(7), at: Self.now)
        fixture.port.installTransmit(
            spi: 4, key: try key(4), expiry: Self.later, grace: Engine.grace, vni: 7, for: .vni(7), at: Self.now)
        try fixture.carry()
        #expect(fixture.network?.transmit?.spi == 4)
        #expect(fixture.network?.receive.map(\.spi) == [3, 1])
        #expect(fixture.port.nextEvent() == nil)
        // The same key again is refused, as the engine's words say.
        fixture.port.installTransmit(
            spi: 4, key: try key(4), expiry: Self.later, grace: Engine.grace, vni: 7, for: .vni(7), at: Self.now)
        try fixture.carry()
        guard case .refused(.vni(7), let why)? = fixture.port.nextEvent() else {
            Issue.record("nothing was refused")
            return
        }
        #expect(why == "\(EngineError.transmitKeyInUse(spi: 4))")
        #expect(!fixture.port.isNewestReceive(3, usedBy: .vni(7)))
    }

    @Test("What outer headers take of ECN is as the peer says", arguments: Way.allCases)
    func ecn(way: Way) throws {
        let fixture = try Fixture(way)
        #expect(fixture.network?.ecn == .compatibility)
        for mode in [ECNMode.normal, .compatibility] {
            fixture.port.setECNMode(mode, of: .vni(7))
            fixture.port.setECNMode(.normal, of: .vni(8))
            try fixture.carry()
            #expect(fixture.network?.ecn == mode)
        }
    }

    @Test("An endpoint moves, and signs of life come back", arguments: Way.allCases)
    func endpoints(way: Way) throws {
        let fixture = try Fixture(way)
        let other = Endpoint(IPAddress(v4: 0xC000_0203), port: 7000)
        fixture.port.updateEndpoint(of: .vni(7), to: AddressPair(other))
        fixture.port.requestKeepAlive(of: .vni(7))
        try fixture.carry()
        #expect(fixture.network?.endpoint == other)
        let activities = fixture.port.activities(of: [.vni(7), .vni(8)])
        #expect(activities.count == 2 && activities[1] == nil)
        #expect(activities[0]?.sent == 0 && activities[0]?.lastReceive == nil)
    }

    @Test(
        "Granted networks come, change and go in one step each, and what can't be added is named",
        arguments: Way.allCases)
    func grants(way: Way) throws {
        let fixture = try Fixture(way)
        func granted(_ vni: UInt32, _ address: UInt32, receiveOnly: Bool = false) -> GrantedNetwork {
            GrantedNetwork(
                vni: vni, address: IPAddress(v4: address), holder: fixture.holder, endpoint: Self.place,
                isReceiveOnly: receiveOnly, expiry: Self.later)
        }
        var changes = GrantChanges()
        // The engine has 7, and it isn't a grant.
        changes.added = [granted(100, 0x0A50_0001), granted(7, 0x0A50_0002)]
        changes.keys = [100: try pair(1, 2), 7: try pair(3, 4)]
        fixture.port.apply(changes)
        try fixture.carry()
        #expect(fixture.port.nextEvent() == .grantRefused(vni: 7))
        #expect(Set(fixture.engine.networks().map(\.vni)) == [7, 100])
        #expect(fixture.network?.transmit == nil)
        fixture.port.setECNMode(.normal, of: .vni(100))
        try fixture.carry()
        #expect(fixture.engine.networks().first { $0.vni == 100 }?.ecn == .normal)
        changes = GrantChanges()
        changes.changed = [granted(100, 0x0A50_0001, receiveOnly: true)]
        changes.added = [granted(101, 0x0A50_0001)]
        changes.keys = [101: try pair(5, 6)]
        fixture.port.apply(changes)
        try fixture.carry()
        #expect(fixture.port.nextEvent() == nil)
        changes = GrantChanges()
        changes.removed = [100, 101]
        fixture.port.apply(changes)
        try fixture.carry()
        #expect(fixture.port.nextEvent() == nil)
        #expect(fixture.engine.networks().map(\.vni) == [7])
    }
}
