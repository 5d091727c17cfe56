// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import Weft
import WeftCommand
import WeftConfig
import WeftControl
import WeftDiscovery
import WeftKeys
import WeftLink

/// A tunnel that a file describes: its engine and its data path.
final class Tunnel: Sendable {
    let name: String
    private let current: Mutex<TunnelConfiguration>
    /// What the file said when it was last applied.
    var configuration: TunnelConfiguration { current.withLock { $0 } }
    let engine: Engine
    let datapath: any TunnelDatapath
    let usesXDP: Bool
    /// Nil where the file asks for nothing of it.
    let stun: STUNAgent?
    /// Agree on keys: none where all are manual, and a second one where there are ICX's peers.
    let controls: [ControlService]
    /// Nil unless it serves keys.
    let keyService: KeyService?
    let mark: UInt32
    private let started: Instant
    /// Held while its file is applied.
    let reloading = Mutex(())

    /// Marks and tables of our own begin with "we"; the port follows, since no two tunnels of a host share one.
    private static let numberBase: UInt32 = 0x7765_0000

    /// Builds everything; when anything fails nothing is left behind.
    init(
        name: String, _ configuration: TunnelConfiguration, servesKeys: Bool, keeper: inout KeyKeeper, _ log: Log
    ) throws(CommandFailure) {
        self.name = name
        current = Mutex(configuration)
        started = SystemCall.now()
        let driver = DriverChoice(configuration)
        usesXDP = driver.driver == .xdp
        if driver.reason != "" { log.info(driver.reason) }
        do {
            engine = try Engine(
                EngineConfiguration(
                    mode: driver.mode, port: configuration.interface.listenPort,
                    hashesSourcePort: configuration.interface.sourcePorts > 1, lanes: driver.lanes))
            // In one step: tables are made once, not once for each peer.
            var networks = NetworkChanges()
            networks.added = configuration.peers.map { configuration.network(of: $0) }
            try engine.apply(networks)
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
            stun = try Self.stun(configuration.interface, datapath)
            if servesKeys, let identity = configuration.interface.identity {
                controls = []
                keyService = try KeyService(identity, configuration, engine, datapath, mark: mark, log)
            } else {
                controls = try Self.controls(configuration, engine, datapath, routes, mark, log)
                keyService = nil
            }
        } catch {
            throw CommandFailure(.failed, "\(error)")
        }
    }

    /// What the file asks of STUN; nil where that is nothing.
    private static func stun(
        _ interface: InterfaceConfiguration, _ datapath: any TunnelDatapath
    ) throws(DatapathError) -> STUNAgent? {
        guard !interface.stunServers.isEmpty || interface.respondsToSTUN else { return nil }
        do {
            return try STUNAgent(
                datapath.plane, by: datapath.transport.id, servers: interface.stunServers,
                responds: interface.respondsToSTUN)
        } catch {
            throw .setup("\(error)")
        }
    }

    /// Where the AllowedIPs are routed, and how the underlay's own datagrams are marked to stay out of the tunnel.
    static func routes(
        _ name: String, _ configuration: TunnelConfiguration, _ log: Log?
    ) throws(LinkError) -> (TunnelRoutes, mark: UInt32) {
        let prefixes = configuration.routedPrefixes
        let own = numberBase | UInt32(configuration.interface.listenPort)
        let mark = configuration.interface.firewallMark
        switch configuration.interface.table {
        case .off: return (.none, mark ?? 0)
        case .number(let table): return (.table(prefixes, table), mark ?? 0)
        case .automatic:
            let plan = try PolicyRouting(
                allowedIPs: prefixes, endpoints: configuration.peers.compactMap(\.endpoint?.address), mark: mark ?? own,
                table: own)
            if plan.usesRules(for: .v4), let warning = ReversePathFilter.warning(except: name) { log?.warning(warning) }
            return (.policy(plan), plan.rules.isEmpty ? mark ?? 0 : mark ?? own)
        }
    }

    private static func controls(
        _ configuration: TunnelConfiguration, _ engine: Engine, _ datapath: any TunnelDatapath,
        _ routes: TunnelRoutes, _ mark: UInt32, _ log: Log
    ) throws -> [ControlService] {
        guard let identity = configuration.interface.identity else { return [] }
        var controls = [
            try ControlService(
                identity, configuration, engine, routes, icx: false, log,
                over: { _ in try SharedPort(datapath.plane, sendingBy: datapath.transport) })
        ]
        let hasICX = configuration.peers.contains { $0.controlPort != nil }
        let port = configuration.interface.controlPort ?? (hasICX ? InterfaceConfiguration.defaultControlPort : nil)
        if let port {
            let makeLink = { (wake: WakeEvent) throws -> any ControlLink in
                try OwnPort(port: port, mark: mark, datapath.plane, wake: wake)
            }
            controls.append(
                try ControlService(identity, configuration, engine, routes, icx: true, log, over: makeLink))
        }
        return controls
    }

    func replaceConfiguration(with new: TunnelConfiguration) { current.withLock { $0 = new } }

    /// What `weft show` prints; with what each network that was granted carried if that is asked for.
    func status(listingNetworks: Bool = false) -> Status {
        let now = SystemCall.now()
        let configuration = configuration
        let networks =
            keyService == nil ? Dictionary(uniqueKeysWithValues: engine.networks().map { ($0.vni, $0) }) : [:]
        let interface = configuration.interface
        let control = controls.reduce(into: [:]) { $0.merge($1.statuses()) { first, _ in first } }
        return Status(
            version: Release.version, processID: getpid(), uptime: now.seconds(since: started),
            interface: .init(
                name: name, publicKey: interface.identity?.publicKey.description,
                addresses: interface.addresses.map(\.description), listenPort: interface.listenPort,
                mtu: interface.mtu, mark: mark),
            driver: datapath.capabilities, driverCounters: datapath.counters,
            cipher: "\(Suite.aes128GCM.name), \(engine.cipherName)",
            peers: configuration.peers.compactMap { peer in
                networks[peer.vni].map { Status.Peer(peer, $0, peer.publicKey.flatMap { control[$0] }, at: now) }
            },
            keyServer: keyService?.status(configuration, engine, listingNetworks: listingNetworks, at: now),
            stun: stun.map { STUNStatus($0.current) }, totals: .init(engine.totals()))
    }
}
