// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import Weft
import WeftConfig
import WeftControl
import WeftLink
import WeftTUN

/// A tunnel that a file describes: its engine and its data path.
final class Tunnel: Sendable {
    let name: String
    private let current: Mutex<TunnelConfiguration>
    /// What the file said when it was last applied.
    var configuration: TunnelConfiguration { current.withLock { $0 } }
    let engine: Engine
    let datapath: TUNDatapath
    /// Agree on keys: none where all are manual, and a second one where there are ICX's peers.
    let controls: [ControlService]
    let mark: UInt32
    private let started: Instant
    /// Held while its file is applied.
    let reloading = Mutex(())

    /// Marks and tables of our own begin with "we"; the port follows, since no two tunnels of a host share one.
    private static let numberBase: UInt32 = 0x7765_0000

    /// Builds everything; when anything fails nothing is left behind.
    init(
        name: String, _ configuration: TunnelConfiguration, keeper: inout KeyKeeper, _ log: Log
    ) throws(CommandFailure) {
        self.name = name
        current = Mutex(configuration)
        started = SystemCall.now()
        let queues =
            configuration.interface.queues
            ?? TUNDatapath.queues(processors: sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        do {
            engine = try Engine(
                EngineConfiguration(
                    port: configuration.interface.listenPort, lanes: TUNDatapath.lanes(queues: queues)))
            for peer in configuration.peers {
                try engine.add(configuration.network(of: peer))
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
            var driver = TUNConfiguration(
                name: name, addresses: configuration.interface.addresses, mtu: configuration.interface.mtu,
                port: configuration.interface.listenPort, routes: routes, mark: mark)
            driver.queues = queues
            driver.sourcePorts = configuration.interface.sourcePorts
            driver.pinsThreads = configuration.interface.pinsThreads
            driver.offloads = configuration.interface.offloads
            datapath = try TUNDatapath(driver, engine: engine)
            controls = try Self.controls(configuration, engine, datapath, mark, log)
        } catch {
            throw CommandFailure(.failed, "\(error)")
        }
    }

    /// Where the AllowedIPs are routed, and how the underlay's own datagrams are marked to stay out of the tunnel.
    static func routes(
        _ name: String, _ configuration: TunnelConfiguration, _ log: Log?
    ) throws(LinkError) -> (TUNConfiguration.Routes, mark: UInt32) {
        let prefixes = configuration.peers.flatMap(\.allowedIPs)
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
        _ configuration: TunnelConfiguration, _ engine: Engine, _ datapath: TUNDatapath, _ mark: UInt32, _ log: Log
    ) throws -> [ControlService] {
        guard let identity = configuration.interface.identity else { return [] }
        var controls = [
            try ControlService(
                identity, configuration, engine, icx: false, over: { _ in try SharedPort(datapath) }, log)
        ]
        let hasICX = configuration.peers.contains { $0.controlPort != nil }
        let port = configuration.interface.controlPort ?? (hasICX ? InterfaceConfiguration.defaultControlPort : nil)
        if let port {
            let makeLink = { (wake: WakeEvent) throws -> any ControlLink in
                try OwnPort(port: port, mark: mark, datapath.plane, wake: wake)
            }
            controls.append(
                try ControlService(identity, configuration, engine, icx: true, over: makeLink, log))
        }
        return controls
    }

    func replaceConfiguration(with new: TunnelConfiguration) { current.withLock { $0 = new } }

    /// What `weft show` prints.
    func status() -> Status {
        let now = SystemCall.now()
        let networks = Dictionary(uniqueKeysWithValues: engine.networks().map { ($0.vni, $0) })
        let configuration = configuration
        let interface = configuration.interface
        let control = controls.reduce(into: [:]) { $0.merge($1.statuses()) { first, _ in first } }
        return Status(
            version: WeftCommand.version, processID: getpid(), uptime: now.seconds(since: started),
            interface: .init(
                name: name, addresses: interface.addresses.map(\.description), listenPort: interface.listenPort,
                mtu: interface.mtu, mark: mark),
            driver: datapath.capabilities, cipher: "\(Suite.aes128GCM.name), \(engine.cipherName)",
            peers: configuration.peers.compactMap { peer in
                networks[peer.vni].map { Status.Peer(peer, $0, peer.publicKey.flatMap { control[$0] }, at: now) }
            },
            totals: .init(engine.totals()))
    }
}
