// SPDX-License-Identifier: Apache-2.0
import Synchronization
import Weft
import WeftLink
import WeftUDP

/// What a TUN data path is made from.
public struct TUNConfiguration: Sendable {
    /// The interface's name.
    public var name: String
    public var addresses: [InterfaceAddress]
    /// Bytes of an inner packet.
    public var mtu: Int
    /// The UDP port on the underlay.
    public var port: UInt16
    /// The one of the host's addresses that its sockets work with; nil for all.
    public var listenAddress: IPAddress?
    /// What is routed into the interface.
    public var routes: Routes

    /// Where the overlay's prefixes are routed.
    public typealias Routes = TunnelRoutes

    /// What the underlay's datagrams are marked with; 0 for nothing.
    public var mark: UInt32
    /// Queues of the device, each with a socket of its own: at least 1.
    public var queues = 1
    /// UDP ports that datagrams leave from, by flow; 1 is ``port`` alone, which a peer behind NAT needs.
    public var sourcePorts = 1
    /// Whether each thread stays on a processor of its own.
    public var pinsThreads = false
    /// What may be left to the kernel.
    public var offloads = Offloads.all
    /// The network that the device is made in; nil for the calling thread's. The UDP sockets stay outside.
    public var namespace: (any TUNNamespace)?
    /// Whether a life before this one left its dead ends closed; see ``HostWants/isTakenOver``.
    public var isTakenOver = false

    public init(
        name: String, addresses: [InterfaceAddress], mtu: Int, port: UInt16, routes: Routes, mark: UInt32 = 0
    ) {
        self.name = name
        self.addresses = addresses
        self.mtu = mtu
        self.port = port
        self.routes = routes
        self.mark = mark
    }
}

/// A data path between a TUN device and UDP sockets. It owns them, and the device's addresses, routes and rules.
///
/// Everything that needs CAP_NET_ADMIN is done when it is made, but for taking the rules away again.
public final class TUNDatapath: Datapath {
    private let configuration: TUNConfiguration
    private let devices: [TUNDevice]
    private let sockets: [UDPSocket]
    private let senders: [UDPSocket]
    private let fragments: UDPSocket
    private let separate: [UDPSocket]
    private let second: SecondPort
    private let wake: WakeEvent
    private let pumps: PumpedDatapath
    /// What the tunnel has put into the host.
    public let host: HostState
    private let hasRun = Atomic(false)

    /// The kernel's limit (MAX_TAP_QUEUES).
    private static let mostQueues = 256

    /// Lanes that its engine must have: two pumps a queue, the timer, and the second port.
    public static func lanes(queues: Int) -> Int { 2 * queues + 2 }

    /// Queues for a number of processors, each of which has two threads.
    public static func queues(processors: Int) -> Int { min(max(processors / 2, 1), 8) }

    /// Makes the device and the socket, and configures the device. When anything fails nothing is left behind.
    /// - Parameters:
    ///   - engine: a layer 3 engine.
    ///   - onTick: called about ten times a second while it runs.
    /// - Throws: ``DatapathError/setup(_:)`` with what to do.
    public init(
        _ configuration: TUNConfiguration, engine: Engine, onTick: @escaping @Sendable (Instant) -> Void = { _ in }
    ) throws(DatapathError) {
        guard case .layer3 = engine.configuration.mode else {
            throw .setup("a TUN device carries IP packets: it needs a layer 3 engine")
        }
        guard (1...Self.mostQueues).contains(configuration.queues) else {
            throw .setup("a TUN device has 1 to \(Self.mostQueues) queues, not \(configuration.queues)")
        }
        self.configuration = configuration
        sockets = try Self.sockets(configuration, port: configuration.port)
        let devices = try TUNDevice.queues(
            configuration.queues, name: configuration.name, offloads: TUNCapabilities(configuration.offloads),
            in: configuration.namespace)
        self.devices = devices
        senders = try Self.senders(configuration)
        fragments = try Self.fragments(configuration, sockets)
        separate = try UDPSocket.separate(
            of: sockets[0], address: configuration.listenAddress, mark: configuration.mark,
            offloads: configuration.offloads)
        let second = SecondPort(
            address: configuration.listenAddress, mark: configuration.mark, offloads: configuration.offloads)
        self.second = second
        let ways = try DeviceWays.open(mark: configuration.mark)
        do throws(TransportError) {
            let wake = try WakeEvent()
            self.wake = wake
            var queues: [PumpedDatapath.Queue] = []
            for (device, socket) in zip(devices, sockets) {
                queues.append(
                    .init(
                        fromOverlay: TUNReader(device, wake: wake), toOverlay: TUNWriter(device, wake: wake),
                        fromUnderlay: UDPReceiver(socket, wake: wake),
                        toUnderlay: UDPSender(
                            socket, spread: senders, fragments: fragments, separate: separate,
                            second: second, wake: wake, pathMTU: ways.mtu)))
            }
            pumps = PumpedDatapath(
                engine: engine, queues: queues,
                timerSender: UDPSender(
                    sockets[0], fragments: fragments, separate: separate, second: second, wake: wake,
                    pathMTU: ways.mtu), wake: wake,
                pinsThreads: configuration.pinsThreads, onTick: onTick)
        } catch {
            throw .transport(error)
        }
        do throws(LinkError) {
            var wants = HostWants(
                name: configuration.name, mtu: configuration.mtu, addresses: configuration.addresses,
                routes: configuration.routes)
            wants.isTakenOver = configuration.isTakenOver
            host = try HostState(wants, device: Self.configure(configuration), in: configuration.namespace)
        } catch {
            throw .setup(error.description)
        }
    }

    /// A socket for each queue, all on one port.
    private static func sockets(
        _ configuration: TUNConfiguration, port: UInt16
    ) throws(DatapathError) -> [UDPSocket] {
        var sockets: [UDPSocket] = []
        for queue in 0..<configuration.queues {
            let role: UDPSocket.Role = queue == 0 ? .opensPort : .sharesPort
            sockets.append(
                try UDPSocket(
                    port: sockets.first?.port ?? port, address: configuration.listenAddress,
                    mark: configuration.mark, role: role, offloads: configuration.offloads))
        }
        return sockets
    }

    /// The sockets that flows are spread over, on ports of the kernel's choice; none where the queue's own sends.
    private static func senders(_ configuration: TUNConfiguration) throws(DatapathError) -> [UDPSocket] {
        var senders: [UDPSocket] = []
        guard configuration.sourcePorts > 1 else { return senders }
        for _ in 0..<configuration.sourcePorts {
            senders.append(
                try UDPSocket(
                    port: 0, address: configuration.listenAddress, mark: configuration.mark, role: .sendsOnly,
                    offloads: configuration.offloads))
        }
        return senders
    }

    /// The socket that sends in fragments; what comes to its port goes to the others.
    private static func fragments(
        _ configuration: TUNConfiguration, _ sockets: [UDPSocket]
    ) throws(DatapathError) -> UDPSocket {
        let fragments = try UDPSocket(
            port: sockets[0].port, address: configuration.listenAddress, mark: configuration.mark, role: .fragments,
            offloads: [])
        try sockets[0].steer(receivers: sockets.count)
        return fragments
    }

    /// Readies the device, which stays down.
    private static func configure(_ configuration: TUNConfiguration) throws(LinkError) -> Int32 {
        var netlink = try Netlink(in: configuration.namespace)
        let interface = try netlink.interfaceIndex(of: configuration.name)
        // A host without IPv6 refuses, and has no such address.
        try? netlink.makeNoLinkLocalAddress(interface)
        limitSuperpackets(of: interface, mtu: configuration.mtu, &netlink)
        return interface
    }

    /// So that one superpacket, sealed, fits one send. An older kernel can't be told; it then takes two.
    private static func limitSuperpackets(of interface: Int32, mtu: Int, _ netlink: inout Netlink) {
        let segments = max(min(ToUnderlay.longestRun, ToUnderlay.largestRun / (mtu + Geneve.overhead)), 1)
        try? netlink.limitSuperpackets(
            interface, segments: UInt32(segments),
            bytes: UInt32(clamping: min(FromOverlay.largestPacket - 1, segments * mtu)))
    }

    /// Bytes of the longest inner packet that it can carry: what one datagram holds.
    public var longestPacket: Int { ToUnderlay.largestRun - Geneve.overhead }

    /// Has the device take inner packets of so many bytes from now on, under traffic.
    public func setMTU(_ mtu: Int) throws(DatapathError) {
        do throws(LinkError) {
            var netlink = try Netlink(in: configuration.namespace)
            Self.limitSuperpackets(of: host.device, mtu: mtu, &netlink)
            try host.setMTU(mtu)
        } catch {
            throw .setup(error.description)
        }
    }

    public func run() throws(DatapathError) {
        guard !hasRun.exchange(true, ordering: .relaxed) else { throw .alreadyRun }
        defer {
            for device in devices { device.close() }
            for socket in sockets + senders + [fragments] + separate { socket.close() }
            second.close()
        }
        do throws(DatapathError) {
            try pumps.run()
        } catch {
            host.end(isClean: false)
            throw error
        }
        host.end(isClean: true)
    }

    /// Rules outlive the process: they go also when it never came to running.
    deinit {
        if !hasRun.load(ordering: .relaxed) { host.endBeforeStart() }
    }

    public func close() { pumps.close() }

    /// Has datagrams to these places leave from a second port, and takes what comes to it; all others leave from the tunnel's own.
    /// - Parameter isFresh: whether it is to be another port than before.
    /// - Returns: the port; nil where nothing leaves from it.
    public func serve(_ places: Set<Endpoint>, fromFreshPort isFresh: Bool) throws(DatapathError) -> UInt16? {
        try second.serve(places, isFresh: isFresh) { (socket) throws(DatapathError) in
            try pumps.pump(UDPReceiver(socket, wake: wake), to: TUNWriter(devices[0], wake: wake))
        }
    }

    /// Where other kinds of packets that come to the socket are consumed.
    public var plane: DataPlane { pumps.plane }

    /// The socket, for whoever answers a packet or sends a probe.
    public var underlay: UnderlayTransport { pumps.underlay }

    /// What the device and the socket do for us at present, in words: `tun (...), udp (...)`.
    public var capabilities: String {
        // What one queue's socket was refused is worth knowing.
        let udp = UDPSocket.Capabilities(
            segmentation: sockets.allSatisfy(\.capabilities.segmentation),
            coalescing: sockets.allSatisfy(\.capabilities.coalescing))
        let place = configuration.namespace == nil ? "tun" : "private tun"
        var text = "\(place) (\(devices[0].capabilities)), udp (\(udp))"
        if devices.count > 1 { text += ", \(devices.count) queues" }
        if senders.count > 1 { text += ", \(senders.count) source ports" }
        return text
    }
}
