// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft
import WeftConfig
import WeftLink

/// A tunnel that a file describes: its engine and its data path.
final class Tunnel: Sendable {
    let name: String
    let configuration: TunnelConfiguration
    let engine: Engine
    let datapath: any TunnelDatapath
    let usesXDP: Bool
    private let mark: UInt32
    private let started: Instant

    /// Marks and tables of our own begin with "we"; the port follows, since no two tunnels of a host share one.
    private static let numberBase: UInt32 = 0x7765_0000

    /// Builds everything; when anything fails nothing is left behind.
    init(
        name: String, _ configuration: TunnelConfiguration, keeper: inout KeyKeeper, _ log: Log
    ) throws(CommandFailure) {
        self.name = name
        self.configuration = configuration
        started = SystemCall.now()
        let driver = DriverChoice(configuration)
        usesXDP = driver.driver == .xdp
        if driver.reason != "" { log.info(driver.reason) }
        do {
            engine = try Engine(
                EngineConfiguration(
                    mode: driver.mode, port: configuration.interface.listenPort,
                    hashesSourcePort: configuration.interface.sourcePorts > 1, lanes: driver.lanes))
            for peer in configuration.peers {
                try engine.add(
                    NetworkConfiguration(
                        vni: peer.vni, endpoint: peer.endpoint, routes: configuration.routes(for: peer),
                        keepAliveInterval: peer.persistentKeepalive.map { .seconds(Int($0)) },
                        checksUnderlaySource: peer.checksSource, receiveRateLimit: peer.rateLimit.map(UInt64.init)))
            }
        } catch {
            throw CommandFailure(.failed, "\(error)")
        }
        for peer in configuration.peers {
            try keeper.install(
                peer, directory: configuration.interface.stateDirectory, into: engine, at: started)
        }
        do {
            let (routes, mark) = try Self.routes(name, configuration, log)
            self.mark = mark
            datapath = try driver.datapath(name, configuration, routes: routes, mark: mark, engine: engine)
        } catch {
            throw CommandFailure(.failed, "\(error)")
        }
    }

    /// Where the AllowedIPs are routed, and how the underlay's own datagrams are marked to stay out of the tunnel.
    private static func routes(
        _ name: String, _ configuration: TunnelConfiguration, _ log: Log
    ) throws(LinkError) -> (TunnelRoutes, mark: UInt32) {
        let prefixes = configuration.peers.flatMap(\.allowedIPs)
        let own = numberBase | UInt32(configuration.interface.listenPort)
        let mark = configuration.interface.firewallMark
        switch configuration.interface.table {
        case .off: return (.none, mark ?? 0)
        case .number(let table): return (.table(prefixes, table), mark ?? 0)
        case .automatic:
            let plan = try PolicyRouting(
                allowedIPs: prefixes, endpoints: configuration.peers.map(\.endpoint.address), mark: mark ?? own,
                table: own)
            if plan.usesRules(for: .v4), let warning = ReversePathFilter.warning(except: name) { log.warning(warning) }
            return (.policy(plan), plan.rules.isEmpty ? mark ?? 0 : mark ?? own)
        }
    }

    /// What `weft show` prints.
    func status() -> Status {
        let now = SystemCall.now()
        let networks = engine.networks()
        let interface = configuration.interface
        return Status(
            version: WeftCommand.version, processID: getpid(), uptime: now.seconds(since: started),
            interface: .init(
                name: name, addresses: interface.addresses.map(\.description), listenPort: interface.listenPort,
                mtu: interface.mtu, mark: mark),
            driver: datapath.capabilities, driverCounters: datapath.counters,
            cipher: "\(Suite.aes128GCM.name), \(engine.cipherName)",
            peers: configuration.peers.compactMap { peer in
                networks.first { $0.vni == peer.vni }.map { Status.Peer(peer, $0, at: now) }
            },
            totals: .init(engine.totals()))
    }
}
