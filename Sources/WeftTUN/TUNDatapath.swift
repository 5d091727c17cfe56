// SPDX-License-Identifier: Apache-2.0
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
    /// What is routed into the interface.
    public var routes: Routes

    /// Where the overlay's prefixes are routed.
    public enum Routes: Sendable {
        /// Nowhere: the caller makes its own routes.
        case none
        /// Into a table of the caller's choice, without rules.
        case table([Prefix], UInt32)
        /// Into the main table, and through a table of their own where they cover a peer's endpoint.
        case policy(PolicyRouting)
    }

    /// What the underlay's datagrams are marked with; 0 for nothing.
    public var mark: UInt32

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

/// A data path between a TUN device and a UDP socket. It owns both, and the device's addresses, routes and rules.
///
/// Everything that needs CAP_NET_ADMIN is done when it is made, but for taking the rules away again.
public final class TUNDatapath: Datapath {
    private let configuration: TUNConfiguration
    private let device: TUNDevice
    private let socket: UDPSocket
    private let pumps: PumpedDatapath
    private let interface: Int32

    /// Lanes that its engine must have: two pumps and the timer.
    public static let lanes = 3

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
        self.configuration = configuration
        socket = try UDPSocket(port: configuration.port, mark: configuration.mark)
        device = try TUNDevice(name: configuration.name)
        do throws(TransportError) {
            let wake = try WakeEvent()
            pumps = PumpedDatapath(
                engine: engine,
                queues: [
                    .init(
                        fromOverlay: TUNReader(device, wake: wake), toOverlay: TUNWriter(device, wake: wake),
                        fromUnderlay: UDPReceiver(socket, wake: wake), toUnderlay: UDPSender(socket, wake: wake))
                ],
                timerSender: UDPSender(socket, wake: wake), wake: wake, onTick: onTick)
        } catch {
            throw .transport(error)
        }
        do throws(LinkError) {
            interface = try Self.configure(configuration)
        } catch {
            throw .setup(error.description)
        }
    }

    /// Gives the device its MTU, addresses and routes. They go with the device when this fails; rules are taken back.
    private static func configure(_ configuration: TUNConfiguration) throws(LinkError) -> Int32 {
        var netlink = try Netlink()
        let interface = try netlink.interfaceIndex(of: configuration.name)
        try netlink.setUp(interface, mtu: configuration.mtu)
        // So that one superpacket, sealed, fits one send. An older kernel can't be told; it then takes two.
        let segments = min(ToUnderlay.longestRun, ToUnderlay.largestRun / (configuration.mtu + Geneve.overhead))
        try? netlink.limitSuperpackets(
            interface, segments: UInt32(max(segments, 1)),
            bytes: UInt32(clamping: min(FromOverlay.largestPacket - 1, max(segments, 1) * configuration.mtu)))
        for address in configuration.addresses { try netlink.replaceAddress(address, on: interface) }
        switch configuration.routes {
        case .none: break
        case .table(let prefixes, let table):
            try netlink.replaceRoutes(prefixes, device: interface, table: table)
        case .policy(let plan):
            // A life that was killed leaves its rules behind, though not its routes.
            try netlink.removeRules(table: plan.table)
            try netlink.install(plan, device: interface)
        }
        return interface
    }

    public func run() throws(DatapathError) {
        defer {
            removeRules()
            device.close()
            socket.close()
        }
        try pumps.run()
    }

    public func close() { pumps.close() }

    /// Where other kinds of packets that come to the socket are consumed.
    public var plane: DataPlane { pumps.plane }

    /// The socket, for whoever answers a packet or sends a probe.
    public var underlay: UnderlayTransport { pumps.underlay }

    /// What the device and the socket do for us at present, in words: `tun (...), udp (...)`.
    public var capabilities: String {
        "tun (\(device.capabilities)), udp (\(socket.capabilities))"
    }

    /// Routes and addresses go with the device; rules belong to nobody and must be taken back.
    private func removeRules() {
        guard case .policy(let plan) = configuration.routes, var netlink = try? Netlink() else { return }
        try? netlink.uninstall(plan, device: interface)
    }
}
