// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import Weft
import WeftLink
import WeftUDP

/// Follows the underlay: whether its interface is there, which addresses it has, and at which link-layer address each
/// network's next hop is.
final class UnderlayMonitor: Sendable {
    /// Milliseconds between looks while nothing is said to have changed.
    private static let interval: Int32 = 1000
    /// Milliseconds in which changes gather before a look.
    private static let pause: Int32 = 20
    /// How often a next hop is confirmed that the kernel has not heard of lately.
    private static let confirmation = Duration.seconds(5)

    private let name: String
    private let mark: UInt32
    private let listenAddress: IPAddress?
    private let engine: Engine
    private let program: XDPProgram
    private let link: DeviceLink
    private let second: SecondPort
    private let options: XDPOptions
    private let state: Mutex<State>

    private struct State {
        var attachment: XDPAttachment?
        var interface: Int32?
        /// What keeps the underlay from being used; nil when all is well.
        var trouble: String?
        /// When each next hop was last asked for.
        var asked: [IPAddress: Instant] = [:]
    }

    /// Attaches to the interface, which must be there, and looks for the first time.
    init(
        interface name: String, mark: UInt32, listenAddress: IPAddress?, engine: Engine, program: XDPProgram,
        link: DeviceLink, second: SecondPort, _ options: XDPOptions
    ) throws(DatapathError) {
        self.name = name
        self.mark = mark
        self.listenAddress = listenAddress
        self.engine = engine
        self.program = program
        self.link = link
        self.second = second
        self.options = options
        state = Mutex(State())
        do throws(LinkError) {
            var netlink = try Netlink()
            let status = try netlink.settledLinkStatus(of: name)
            guard status.mac != nil else {
                throw .unusablePlan("\(name) is no Ethernet interface: AF_XDP needs one; use Driver = tun")
            }
            guard !status.hasXDP else { throw .unusablePlan(XDPProgram.taken(name)) }
            link.set(status.index)
            try apply(status, &netlink, SystemCall.now())
        } catch {
            throw .setup(error.description)
        }
    }

    /// Puts the program on the interface, which sends frames to the sockets from then on.
    func attach() throws(DatapathError) {
        guard let interface = link.current.interface else { return }
        let attachment = try program.attach(.underlay, to: interface, name: name, options.attachment)
        state.withLock { state in
            state.interface = interface
            state.attachment = attachment
        }
    }

    /// Takes the program off the interface.
    func detach() { state.withLock { $0.attachment = nil } }

    var attachment: XDPOptions.Attachment? { state.withLock { $0.attachment?.mode } }
    var trouble: String? { state.withLock { $0.trouble } }

    /// Looks whenever something changed, and once a second, until `isClosing`.
    func run(wake: WakeEvent, isClosing: () -> Bool) throws(DatapathError) {
        do throws(LinkError) {
            var events = try LinkEvents()
            var netlink = try Netlink()
            while !isClosing() {
                look(&netlink, SystemCall.now())
                _ = try? wake.wait(for: events.descriptor, events: POLLIN, timeout: Self.interval)
                // Changes come in flocks.
                _ = try? wake.wait(for: -1, events: 0, timeout: Self.pause)
                _ = events.drain()
            }
        } catch {
            throw .setup(error.description)
        }
    }

    private func look(_ netlink: inout Netlink, _ now: Instant) {
        do throws(LinkError) {
            let status = try netlink.linkStatus(of: name)
            if status.index != link.current.interface || attachment == nil { returned(status) }
            try apply(status, &netlink, now)
        } catch .noInterface {
            lost()
        } catch {
            state.withLock { $0.trouble = error.description }
        }
    }

    /// The interface is gone, and the kernel has taken program and sockets off it.
    private func lost() {
        guard link.current.interface != nil else { return }
        link.set(nil)
        state.withLock { state in
            state.attachment = nil
            state.interface = nil
            state.trouble = "\(name) gone"
        }
        engine.updatePaths(Dictionary(uniqueKeysWithValues: engine.networks().map { ($0.id, UnderlayPath()) }))
    }

    /// The interface is there again, perhaps as another one of that name.
    private func returned(_ status: LinkStatus) {
        state.withLock { $0.attachment = nil }
        do throws(DatapathError) {
            let attachment = try program.attach(.underlay, to: status.index, name: name, options.attachment)
            state.withLock { state in
                state.interface = status.index
                state.attachment = attachment
                state.trouble = nil
            }
            link.set(status.index)
        } catch {
            state.withLock { $0.trouble = error.description }
        }
    }

    /// Tells the program our addresses, and the engine the way to each endpoint.
    private func apply(_ status: LinkStatus, _ netlink: inout Netlink, _ now: Instant) throws(LinkError) {
        let addresses = try netlink.addresses(of: status.index)
        try? program.setAddresses(addresses.map(\.address).filter { $0 == listenAddress ?? $0 })
        var paths: [NetworkID: UnderlayPath] = [:]
        var families: Set<IPAddress.Family> = []
        for network in engine.networks() {
            guard let place = network.endpoint else { continue }
            let endpoint = place.address
            families.insert(endpoint.family)
            // Frames bear the tunnel's own port.
            guard !second.serves(place) else {
                paths[network.id] = UnderlayPath()
                continue
            }
            paths[network.id] = try path(
                to: endpoint, from: network.localAddress ?? listenAddress, over: status, addresses, &netlink, now)
        }
        engine.updatePaths(paths)
        let largest = TunnelMTU.inner(underlay: status.mtu, family: families.contains(.v6) ? .v6 : .v4)
        link.largestInner.store(max(largest, 0), ordering: .relaxed)
    }

    /// The way of frames to an endpoint; with nil in it as long as something is missing.
    private func path(
        to endpoint: IPAddress, from local: IPAddress?, over status: LinkStatus, _ addresses: [InterfaceAddress],
        _ netlink: inout Netlink, _ now: Instant
    ) throws(LinkError) -> UnderlayPath {
        guard let mac = status.mac, status.isUp, let route = try netlink.path(to: endpoint, from: local, mark: mark),
            route.device == status.index
        else { return UnderlayPath() }
        let source = local ?? route.source ?? addresses.first { $0.prefix.contains(endpoint) }?.address
        guard let source, source.family == endpoint.family else { return UnderlayPath() }
        let neighbor = try netlink.neighbor(route.nextHop, on: status.index)
        if neighbor?.isFresh != true {
            let mayAsk = state.withLock { state in
                if let last = state.asked[route.nextHop], now < last.advanced(by: Self.confirmation),
                    neighbor?.mac != nil || now < last.advanced(by: .seconds(1))
                {
                    return false
                }
                state.asked[route.nextHop] = now
                return true
            }
            if mayAsk { try netlink.useNeighbor(route.nextHop, on: status.index) }
        }
        let length = addresses.first { $0.address == source }?.length ?? source.family.bitWidth
        return UnderlayPath(
            local: LocalAddress(source, prefixLength: length, mac: mac), nextHop: neighbor?.mac)
    }

    /// The interface that leads to all endpoints.
    /// - Throws: ``DatapathError/setup(_:)`` when there is none, or more than one.
    static func interface(to endpoints: [IPAddress], mark: UInt32) throws(DatapathError) -> String {
        do throws(LinkError) {
            var netlink = try Netlink()
            var found: [String: IPAddress] = [:]
            for endpoint in endpoints {
                guard let route = try netlink.path(to: endpoint, mark: mark) else { continue }
                found[try netlink.interfaceName(of: route.device)] = endpoint
            }
            if let only = found.first, found.count == 1 { return only.key }
            throw .unusablePlan(
                found.isEmpty
                    ? "no route leads to a peer's endpoint: name the interface with Underlay"
                    : "the peers' endpoints are reached by \(found.keys.sorted().joined(separator: " and ")): "
                        + "name one of them with Underlay, or use Driver = tun")
        } catch {
            throw .setup(error.description)
        }
    }
}
