// SPDX-License-Identifier: Apache-2.0
import CWeftNetlink
import Glibc
import Weft

extension Netlink {
    /// Routes one prefix into a device; see `replaceRoutes`.
    public mutating func replaceRoute(
        _ prefix: Prefix, device: Int32, table: UInt32 = RouteTable.main, mtu: Int? = nil
    ) throws(LinkError) {
        try replaceRoutes([prefix], device: device, table: table, mtu: mtu)
    }

    /// Routes prefixes into a device, with Weft's own protocol number and no router on the way.
    ///
    /// Weft's earlier route into the same device is replaced, and the connected route that the kernel made for the
    /// device's own address counts as present. Any other route for one of the prefixes in this table, whatever its
    /// metric, belongs to somebody else: then nothing at all is changed.
    /// - Parameters:
    ///   - device: index of an interface that is up.
    ///   - mtu: path MTU in bytes for what takes the routes; nil for the device's own.
    /// - Throws: `LinkError.routeTaken`.
    public mutating func replaceRoutes(
        _ prefixes: [Prefix], device: Int32, table: UInt32 = RouteTable.main, mtu: Int? = nil
    ) throws(LinkError) {
        var additions: [(prefix: Prefix, flags: Int32)] = []
        for family in IPAddress.Family.allCases {
            let wanted = Set(prefixes.filter { $0.family == family })
            if wanted.isEmpty { continue }
            let present = Dictionary(
                grouping: try routes(family).filter { $0.table == table && wanted.contains($0.prefix) }, by: \.prefix)
            for prefix in wanted.sorted(by: { ($0.address, $0.length) < ($1.address, $1.length) }) {
                let routes = present[prefix, default: []]
                if let other = routes.first(where: { $0.belongsToSomebodyElse(than: device) }) {
                    throw .routeTaken(prefix, by: describe(other))
                }
                if routes.contains(where: { $0.owner == .weft && $0.leadsOnly(into: device) }) {
                    additions.append((prefix, NLM_F_CREATE | NLM_F_REPLACE))
                } else if routes.allSatisfy({ !$0.leadsOnly(into: device) }) {
                    // A route that somebody adds in between is not to be replaced.
                    additions.append((prefix, NLM_F_CREATE | NLM_F_EXCL))
                }
            }
        }
        for (prefix, flags) in additions {
            let route = try routeObject(prefix, device: device, table: table, mtu: mtu)
            let message = try unsafe request { message in
                unsafe rtnl_route_build_add_request(route.pointer, flags, &message)
            }
            try send(message, to: "add route \(prefix) to table \(RouteTable.name(of: table))")
        }
    }

    /// Removes Weft's own route for this prefix into this device; anybody else's stays, and none at all is fine.
    public mutating func removeRoute(
        _ prefix: Prefix, device: Int32, table: UInt32 = RouteTable.main
    ) throws(LinkError) {
        // The kernel compares prefix, table, device and protocol, so it finds no other route than ours.
        let route = try routeObject(prefix, device: device, table: table, mtu: nil)
        let message = try unsafe request { message in
            unsafe rtnl_route_build_del_request(route.pointer, 0, &message)
        }
        do {
            try send(message, to: "remove route \(prefix) from table \(RouteTable.name(of: table))")
        } catch .refused(_, ESRCH), .refused(_, ENODEV) {
            return
        }
    }

    /// The routes of one table that lead into a device, whoever added them; with nil, into any or none.
    public mutating func routes(table: UInt32 = RouteTable.main, device: Int32? = nil) throws(LinkError)
        -> [KernelRoute]
    {
        let all = try routes(.v4) + routes(.v6)
        return all.filter { route in
            route.table == table && (device.map { index in route.nexthops.contains { $0.device == index } } ?? true)
        }
    }

    /// A family's routes in every table.
    ///
    /// libnl's route cache would not do: it takes the same IPv6 prefix on two devices for one route.
    mutating func routes(_ family: IPAddress.Family) throws(LinkError) -> [KernelRoute] {
        try dump(Int32(RTM_GETROUTE), family: family.addressFamily, to: "list routes")
            .compactMap { KernelRoute(message: $0) }
            .filter { $0.prefix.family == family }
    }

    func routeObject(
        _ prefix: Prefix, device: Int32, table: UInt32, mtu: Int?
    ) throws(LinkError) -> NetlinkObject {
        let route = try routeObject(WantedRoute(prefix, table: table, .device(device, gateway: nil)))
        if let mtu {
            guard let value = UInt32(exactly: mtu) else {
                throw .netlink(operation: "add route \(prefix)", reason: "the MTU \(mtu) is out of range")
            }
            unsafe rtnl_route_set_metric(route.pointer, Int32(RTAX_MTU), value)
        }
        return route
    }

    /// A route's owner in words, to go after "is already routed to".
    mutating func describe(_ route: KernelRoute) -> String {
        let origin = "protocol \(route.owner), table \(RouteTable.name(of: route.table))"
        guard let nexthop = route.nexthops.first(where: { $0.device != 0 }), route.kind == .unicast else {
            return "nowhere (\(route.kind), \(origin))"
        }
        let device = (try? interfaceName(of: nexthop.device)) ?? "interface \(nexthop.device)"
        let gateway = nexthop.gateway.map { " via \($0)" } ?? ""
        let others = route.nexthops.count > 1 ? " and elsewhere" : ""
        return "\(device)\(gateway)\(others) (\(origin))"
    }
}

extension KernelRoute {
    /// Whether the route keeps its prefix from being routed into `device`.
    func belongsToSomebodyElse(than device: Int32) -> Bool {
        // Weft's own dead ends hide behind anything.
        if kind == .unreachable, owner == .weft { return false }
        if nexthops.allSatisfy({ $0.device == device }), owner == .weft { return false }
        if leadsOnly(into: device) { return owner != .weft && owner != .kernel }
        // Every link has the link-local prefix for itself (RFC 4291 section 2.5.6).
        return !(prefix.isLinkLocal && owner == .kernel)
    }
}

extension Prefix {
    fileprivate var isLinkLocal: Bool { address.isLinkLocal && length >= 10 }
}
