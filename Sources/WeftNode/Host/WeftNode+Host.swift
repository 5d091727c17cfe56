// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftCommand
import WeftConfig
import WeftGuard
import WeftLink
import WeftPrivate

extension WeftNode {
    /// Where the AllowedIPs are routed, and how the underlay's own datagrams are marked to stay out of the tunnel.
    static func routes(
        _ configuration: TunnelConfiguration, _ driver: DriverChoice.Driver
    ) throws(LinkError) -> (TunnelRoutes, mark: UInt32) {
        let interface = configuration.interface
        let prefixes = configuration.routedPrefixes
        // In there is nothing else, and the tunnel's own datagrams are outside.
        if driver == .privateNamespace { return (.table(prefixes, RouteTable.main), 0) }
        let own = UnderlayMark.own(port: interface.listenPort)
        let isGuarded: Bool =
            switch interface.guarding {
            case .on: true
            case .off: false
            case .auto: prefixes.contains { $0.isDefault }
            }
        switch interface.table {
        // Other tunnels' rules leave marked datagrams alone.
        case .off: return (.none, interface.firewallMark ?? own)
        case .number(let table): return (.table(prefixes, table), interface.firewallMark ?? own)
        case .automatic:
            let mark = interface.firewallMark ?? own
            let plan = try PolicyRouting(
                allowedIPs: prefixes, endpoints: configuration.peers.compactMap(\.endpoint?.address), mark: mark,
                table: own, isGuarded: isGuarded, through: interface.through)
            return (.policy(plan), mark)
        }
    }

    /// Makes the data path, with what it takes on the host, and what keeps that, unless it's in a network of its own, which nobody
    /// else changes. The guard is closed before anything else is there.
    static func host(
        _ name: String, _ configuration: TunnelConfiguration, _ driver: DriverChoice, routes: TunnelRoutes,
        mark: UInt32, _ engine: Engine, in namespace: PrivateNamespace?, servesKeys: Bool, _ log: Log
    ) throws -> (any TunnelDatapath, HostKeeper?) {
        if let namespace {
            let datapath = try driver.datapath(
                name, configuration, routes: routes, mark: mark, engine: engine, isTakenOver: false, in: namespace)
            return (datapath, nil)
        }
        try checkWay(configuration, routes, log)
        var keeping = HostKeeper.Configuration(ports: [configuration.interface.listenPort])
        if let port = configuration.ownControlPort(servesKeys: servesKeys) { keeping.ports.append(port) }
        keeping.sendsFromOtherPorts = configuration.interface.sourcePorts > 1 || !configuration.names.isEmpty
        keeping.replacesInterface = driver.driver == .xdp
        let filter = try HostKeeper.close(for: routes, name: name, keeping)
        let isTakenOver = filter?.wasThere ?? false
        do {
            let datapath = try driver.datapath(
                name, configuration, routes: routes, mark: mark, engine: engine, isTakenOver: isTakenOver,
                in: nil)
            let keeper = try HostKeeper(
                datapath.host, filter, keeping, onLoss: { datapath.replaceInterface() }, log: { log.warning($0) })
            return (datapath, keeper)
        } catch {
            if !isTakenOver { filter?.remove() }
            throw error
        }
    }

    /// Whether the tunnel's own datagrams have a way through the tunnel that the file names; what else is to be said of it.
    private static func checkWay(_ configuration: TunnelConfiguration, _ routes: TunnelRoutes, _ log: Log) throws {
        guard let way = routes.way else { return }
        let endpoints = configuration.peers.compactMap(\.endpoint?.address)
        var netlink = try Netlink()
        guard let through = way.through else {
            for endpoint in endpoints {
                guard let name = try netlink.tunnelPassed(on: way, to: endpoint) else { continue }
                log.warning(
                    "the endpoint \(endpoint) is \(name)'s to carry, and this tunnel's own datagrams go past it; if they are to go into "
                        + "it, say Through = \(name)")
            }
            return
        }
        if let obstacle = try netlink.obstacle(through: through, to: endpoints) {
            throw LinkError.unusablePlan(obstacle)
        }
        let family: IPAddress.Family? = endpoints.isEmpty || endpoints.contains { $0.family == .v6 } ? .v6 : .v4
        // One that follows its paths needn't be told.
        guard let wanted = configuration.interface.mtu else { return }
        let outer = try netlink.linkStatus(of: through).mtu
        let most = TunnelMTU.inner(underlay: outer, family: family)
        if wanted > most {
            log.warning(
                "packets of more than \(most) bytes don't fit through \(through): set MTU to \(most) here, or to "
                    + "\(wanted + outer - most) in \(through)'s file")
        }
    }

    /// Leads other prefixes into the tunnel.
    func lead(_ routes: TunnelRoutes) throws {
        if let host { try host.update(to: routes) } else { try datapath.host.update(to: routes) }
    }

    /// What on the host isn't as it should be, a line each, and whether that is nothing.
    func differences() -> (text: String, isGood: Bool) {
        guard let host else { return ("", true) }
        do {
            let found = try host.differences().map(\.description) + host.report.trouble
            var seen: Set<String> = []
            return (found.filter { seen.insert($0).inserted }.joined(separator: "\n"), found.isEmpty)
        } catch {
            return ("\(error)", false)
        }
    }
}
