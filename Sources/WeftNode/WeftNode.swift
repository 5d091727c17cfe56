// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import Weft
import WeftCommand
import WeftConfig
import WeftControl
import WeftDiscovery
import WeftGuard
import WeftLink
import WeftPair
import WeftPaths
import WeftPrivate
import WeftUDP

/// A tunnel that a file describes: its engine, its data path, and the services that keep it going.
package final class WeftNode: Sendable {
    package let name: String
    private let current: Mutex<TunnelConfiguration>
    /// What the file said when it was last applied.
    package var configuration: TunnelConfiguration { current.withLock { $0 } }
    package let engine: Engine
    package let datapath: any TunnelDatapath
    package var usesXDP: Bool { driver == .xdp }
    let driver: DriverChoice.Driver
    /// The network that the tunnel is in; nil for the host's own.
    package let namespace: PrivateNamespace?
    /// Nil where the file asks for nothing of it.
    let stun: STUNAgent?
    /// Nil for a key server, whose initiators are where their sessions are.
    let paths: PathService?
    /// Nil where all keys are manual.
    let control: ControlService?
    /// What of strangers' reaches the control process; nil where all keys are manual.
    let gate: ControlGate?
    /// Starts control processes; nil where none is needed.
    private let launcher: (any ControlLauncher)?
    private let keeper: KeeperService
    private let watch: NamespaceService?
    /// Joins it with the host; nil where the file asks for nothing of it.
    private let proxy: ProxyService?
    /// Keeps what is ours on the host; nil where nothing is.
    let host: HostKeeper?
    let servesKeys: Bool
    let mark: UInt32
    let log: Log
    let started: Instant
    /// Held while its file is applied.
    let reloading = Mutex(())
    let services: ServiceList
    /// The socket for requests, once there is one.
    private let admin = Mutex<AdminServer?>(nil)

    /// Builds everything; when anything fails nothing is left behind.
    /// - Parameters:
    ///   - owner: the user whom the process goes on as, who gets the key states; nil for the present one.
    ///   - launcher: starts control processes; needed where the file has an identity, which it must hold already.
    ///   - command: what a private network is to run on request; nil for nothing.
    ///   - onFailure: called when the node can't go on, from any thread; ``failure`` says why.
    package init(
        name: String, _ configuration: TunnelConfiguration, servesKeys: Bool, owner: FileOwner? = nil,
        launcher: (any ControlLauncher)?, command: PrivateCommand? = nil, _ log: Log,
        onFailure: @escaping @Sendable () -> Void
    ) throws(CommandFailure) {
        self.name = name
        self.log = log
        self.servesKeys = servesKeys
        self.launcher = launcher
        current = Mutex(configuration)
        started = SystemCall.now()
        services = ServiceList(log: { log.warning($0) }, onFailure: onFailure)
        let driver = DriverChoice(configuration, isPrivate: command != nil)
        self.driver = driver.driver
        if driver.reason != "" { log.info(driver.reason) }
        // Before keys are there, of which its keeper would have a copy.
        namespace =
            try driver.driver == .privateNamespace
            ? Self.namespace(command, isChosen: configuration.interface.driver == .auto) : nil
        do {
            engine = try Engine(
                EngineConfiguration(
                    mode: driver.mode, port: configuration.interface.listenPort,
                    hashesSourcePort: configuration.interface.sourcePorts > 1,
                    copiesDSCP: configuration.interface.copiesDSCP,
                    lanes: driver.lanes + PathKeeper.lanes))
            engine.setOverlayMTU(to: configuration.interface.firstMTU)
            // In one step: tables are made once, not once for each peer.
            var networks = NetworkChanges()
            networks.added = configuration.peers.map { configuration.network(of: $0) }
            try engine.apply(networks)
        } catch {
            throw CommandFailure(.failed, "\(error)")
        }
        if configuration.peers.contains(where: { $0.keys != nil }), MachineID.own() == nil {
            log.warning(
                "this host has no /etc/machine-id, so that a copied StateDirectory can't be told: systemd-machine-id-setup makes one"
            )
        }
        var keys = KeyKeeper()
        for peer in configuration.peers {
            try keys.install(
                peer, directory: configuration.interface.stateDirectory, ownedBy: owner, into: engine, at: started)
        }
        do {
            let (routes, mark) = try Self.routes(configuration, driver.driver)
            self.mark = mark
            (datapath, host) = try Self.host(
                name, configuration, driver, routes: routes, mark: mark, engine, in: namespace, servesKeys: servesKeys,
                log)
            watch = try namespace.map { try NamespaceService($0) }
            let wanted = configuration.interface.services
            proxy = try namespace.flatMap { namespace in
                wanted.isEmpty
                    ? nil
                    : try ProxyService(
                        wanted, addresses: configuration.interface.addresses.map(\.address), in: namespace)
            }
            keeper = try KeeperService(keys, engine, datapath, log)
            stun = try Self.stun(configuration.interface, datapath)
            gate = try Self.gate(name, configuration, servesKeys: servesKeys)
            paths =
                servesKeys
                ? nil
                : try PathService(
                    configuration, engine, datapath, tunnelled: routes.catchingAll, log)
            control = try Self.control(
                name, gate, configuration, engine, datapath, host, routes, mark, servesKeys: servesKeys, paths,
                launcher,
                log)
        } catch {
            throw CommandFailure(.failed, "\(error)")
        }
    }

    /// The parts of a node, in the order in which they are started; they are closed in the opposite one. Peers hear that we go
    /// while data still flows, and counters are saved once it has stopped.
    private var parts: [any NodeService] {
        var parts: [any NodeService] = [keeper, DatapathService(datapath)]
        if let host { parts.append(HostService(host)) }
        if let watch { parts.append(watch) }
        if let proxy { parts.append(proxy) }
        if let paths { parts.append(paths) }
        if let stun { parts.append(STUNService(stun)) }
        if let control { parts.append(control) }
        return parts
    }

    /// Makes the socket for requests; they are answered from ``start()`` on. It takes the right to make files in the run folder,
    /// which the process needn't have any more later.
    /// - Parameter stop: called when somebody asks for the tunnel's end, and says whether its guard is to stay closed, from any
    ///   thread.
    package func listen(stop: @escaping @Sendable (_ keepingGuard: Bool) -> Void) throws(TransportError) {
        let server = try AdminServer(at: RuntimeFolder.socket(of: name), of: self, stop: stop)
        admin.withLock { $0 = server }
    }

    /// Starts all services, each on a thread of its own.
    package func start() throws(TransportError) {
        if let server = admin.withLock({ $0 }) { try services.start(server) }
        for part in parts { try services.start(part) }
        log.info("up on UDP port \(configuration.interface.listenPort), \(datapath.capabilities), \(engine.cipherName)")
    }

    /// Why it can't go on; nil while it can.
    package var failure: String? { services.failureText }

    /// Ends all services and waits for them; the device and its routes are gone then.
    /// - Parameter keepingGuard: whether what it guards stays closed for the next start.
    package func close(keepingGuard: Bool = false) {
        // Who didn't end it wants it closed, as if it had been killed.
        let isClosed = failure != nil || keepingGuard && datapath.host.wants.routes.isGuarded
        if isClosed { datapath.host.abandon() }
        services.close()
        launcher?.close()
        // It may not have been started.
        admin.withLock { $0.take() }?.close()
        if !isClosed { host?.remove() }
        namespace?.close()
    }

    /// - Parameter isChosen: whether another driver would do as well.
    private static func namespace(
        _ command: PrivateCommand?, isChosen: Bool
    ) throws(CommandFailure) -> PrivateNamespace {
        do throws(PrivateNamespaceError) { return try PrivateNamespace(command: command) } catch {
            let other =
                isChosen && command == nil ? "; an interface of the host's own takes root, or CAP_NET_ADMIN" : ""
            throw CommandFailure(.failed, "\(error)\(other)")
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

    private static func gate(
        _ name: String, _ configuration: TunnelConfiguration, servesKeys: Bool
    ) throws -> ControlGate? {
        let interface = configuration.interface
        guard let seed = interface.identity?.tagSeed else { return nil }
        return ControlGate(
            try seed.tags(at: EndpointPlace(port: interface.listenPort, name: name)),
            answersStrangers: configuration.answersStrangers(servesKeys: servesKeys), limits: interface.callLimits)
    }

    private static func control(
        _ name: String, _ gate: ControlGate?, _ configuration: TunnelConfiguration, _ engine: Engine,
        _ datapath: any TunnelDatapath, _ host: HostKeeper?,
        _ routes: TunnelRoutes, _ mark: UInt32, servesKeys: Bool, _ paths: PathService?,
        _ launcher: (any ControlLauncher)?, _ log: Log
    ) throws -> ControlService? {
        guard configuration.interface.identity != nil, let launcher else { return nil }
        let wake = try WakeEvent()
        var links: [LinkKind: any ControlLink] = [:]
        let port = configuration.ownControlPort(servesKeys: servesKeys)
        if let port {
            links[.own] = try OwnPort(
                port: port, address: configuration.interface.listenAddress, mark: mark, datapath.plane, wake: wake)
        }
        if !servesKeys || port == nil {
            links[.shared] = try SharedPort(datapath.plane, sendingBy: datapath.transport, gate: gate)
        }
        let served = try ServedConfiguration(
            configuration, name: name, tunnelled: routes.catchingAll, servesKeys: servesKeys)
        return try ControlService(
            served, engine, launcher, links: links, wake: wake, mark: mark, paths: paths,
            mover: servesKeys ? nil : PortMover(datapath, host, log), log)
    }

    func replaceConfiguration(with new: TunnelConfiguration) { current.withLock { $0 = new } }
}
