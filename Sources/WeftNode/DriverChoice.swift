// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft
import WeftCommand
import WeftConfig
import WeftGuard
import WeftLink
import WeftPrivate
import WeftTUN
import WeftXDP

/// A data path as the daemon sees it.
package protocol TunnelDatapath: Datapath {
    /// How it runs at present, in words.
    var capabilities: String { get }
    /// What it counts beside the engine, by name.
    var counters: [String: UInt64] { get }
    /// Where other packets than data that come to the tunnel's port are consumed.
    var plane: DataPlane { get }
    /// The port, for whoever answers such a packet.
    var transport: UnderlayTransport { get }
    /// What the tunnel has put into the host.
    var host: HostState { get }
    /// Somebody removed the interface: makes it anew where that can be.
    func replaceInterface() -> HostKeeper.Loss
    /// Has datagrams to these places leave from a second UDP port, of the system's choice, where what comes is taken, too; all others
    /// leave from the tunnel's own.
    /// - Parameter isFresh: whether it is to be another port than before.
    /// - Returns: the port; nil where nothing leaves from it.
    func serve(_ places: Set<Endpoint>, fromFreshPort isFresh: Bool) throws(DatapathError) -> UInt16?
    /// Bytes of the longest inner packet that it can carry.
    var longestPacket: Int { get }
    /// Has its device take inner packets of so many bytes from now on.
    func setMTU(_ mtu: Int) throws(DatapathError)
}

extension TunnelDatapath {
    /// A TUN device is gone for good: the tunnel ends, and whoever started it starts it anew.
    package func replaceInterface() -> HostKeeper.Loss { .ended("its interface is gone: somebody removed it") }
}

extension TUNDatapath: TunnelDatapath {
    package var counters: [String: UInt64] { [:] }
    package var transport: UnderlayTransport { underlay }
}

extension XDPDatapath: TunnelDatapath {
    package func replaceInterface() -> HostKeeper.Loss {
        do throws(DatapathError) {
            try replacePair()
            return .madeAnew
        } catch {
            return .ended("its interface is gone, and can't be made anew: \(error)")
        }
    }
}

/// Which driver carries a tunnel, and why.
struct DriverChoice {
    enum Driver: Equatable {
        case tun
        case xdp
        /// A TUN device in a network of the process' own.
        case privateNamespace
    }

    let driver: Driver
    /// For the log.
    let reason: String
    let mode: EngineConfiguration.Mode
    private let queues: Int
    private let endpoints: [IPAddress]
    private let underlay: String?

    /// - Parameters:
    ///   - isPrivate: whether a private network is what the caller wants, where the file leaves it open.
    ///   - mayConfigure: whether the process may make interfaces and routes in its network.
    init(
        _ configuration: TunnelConfiguration, isPrivate: Bool = false,
        mayConfigure: Bool = Privileges.mayConfigureNetwork
    ) {
        let interface = configuration.interface
        underlay = interface.underlay
        endpoints = configuration.peers.compactMap(\.endpoint?.address)
        switch interface.driver {
        case .tun: (driver, reason) = (.tun, "")
        case .xdp: (driver, reason) = (.xdp, "")
        case .privateNamespace: (driver, reason) = (.privateNamespace, "")
        case .auto where isPrivate: (driver, reason) = (.privateNamespace, "")
        case .auto where !interface.services.isEmpty && !interface.needsHost:
            (driver, reason) = (
                .privateNamespace, "Driver = auto: private, since the file says SOCKS5, Forward or Expose"
            )
        // What only the host's own network can give is asked of that, which says what is missing.
        case .auto where !mayConfigure && !interface.needsHost:
            (driver, reason) = (
                .privateNamespace,
                "Driver = auto: private, since this user may not make interfaces (CAP_NET_ADMIN): the overlay is reached by what the "
                    + "file forwards and by `weft run`, and not by the host itself"
            )
        case .auto where interface.through != nil:
            (driver, reason) = (.tun, "Driver = auto: tun, since it goes through a tunnel")
        case .auto:
            (driver, reason) = Self.choose(XDPProbe.run(underlay: underlay, endpoints: endpoints))
        }
        mode = driver == .xdp ? XDPDatapath.layer2Mode() : .layer3
        queues =
            interface.queues ?? TUNDatapath.queues(processors: sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    }

    /// AF_XDP only where the device itself fills the frames: a copy for each packet costs more than TUN's superpackets
    /// save.
    static func choose(_ probe: XDPProbe.Result) -> (Driver, String) {
        switch probe {
        case .zeroCopy(let name): (.xdp, "Driver = auto: xdp, since \(name) can fill frames by itself (zero-copy)")
        case .copyOnly(let name):
            (.tun, "Driver = auto: tun, since AF_XDP would copy each packet of \(name); Driver = xdp insists")
        case .unavailable(let why): (.tun, "Driver = auto: tun, since \(why)")
        }
    }

    /// Lanes that the engine must have.
    var lanes: Int {
        driver == .xdp
            ? XDPDatapath.lanes(queues: XDPProbe.queues(underlay: underlay, endpoints: endpoints))
            : TUNDatapath.lanes(queues: queues)
    }

    func datapath(
        _ name: String, _ configuration: TunnelConfiguration, routes: TunnelRoutes, mark: UInt32, engine: Engine,
        isTakenOver: Bool, in namespace: PrivateNamespace?
    ) throws(DatapathError) -> any TunnelDatapath {
        let interface = configuration.interface
        switch driver {
        case .tun, .privateNamespace:
            // Of a life with the other driver that was killed.
            if namespace == nil { XDPDatapath.removeLeftover(name) }
            var tun = TUNConfiguration(
                name: name, addresses: interface.addresses, mtu: interface.firstMTU, port: interface.listenPort,
                routes: routes, mark: mark)
            tun.namespace = namespace
            tun.listenAddress = interface.listenAddress
            tun.isTakenOver = isTakenOver
            tun.queues = queues
            tun.sourcePorts = interface.sourcePorts
            tun.pinsThreads = interface.pinsThreads
            tun.offloads = interface.offloads
            return try TUNDatapath(tun, engine: engine)
        case .xdp:
            var xdp = XDPConfiguration(
                name: name, addresses: interface.addresses, mtu: interface.firstMTU, underlay: interface.underlay,
                routes: routes, mark: mark)
            xdp.listenAddress = interface.listenAddress
            xdp.isTakenOver = isTakenOver
            xdp.pinsThreads = interface.pinsThreads
            xdp.options = interface.xdp
            return try XDPDatapath(xdp, engine: engine)
        }
    }
}
