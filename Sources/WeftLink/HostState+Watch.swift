// SPDX-License-Identifier: Apache-2.0
import CWeftNetlink
import Glibc
import Weft

extension HostState {
    /// What is not as the tunnel wants it, in the order in which it is to be put back: the interface, its addresses, routes,
    /// rules.
    public func differences(_ netlink: inout Netlink) throws(LinkError) -> [HostDifference] {
        var (wants, device) = state.withLock { ($0.wants, $0.device) }
        var found: [HostDifference] = []
        let link: LinkStatus
        do throws(LinkError) {
            link = try netlink.linkStatus(of: device)
        } catch .noInterface {
            return [.gone]
        }
        if link.name != wants.name { found.append(.renamed(link.name)) }
        if link.mtu != wants.mtu { found.append(.mtu(link.mtu)) }
        if !link.isUp { found.append(.down) }
        if link.group != InterfaceGroup.tunnels { found.append(.group) }
        let carriesIPv6 = hasIPv6(link.name)
        state.withLock { $0.carriesIPv6 = carriesIPv6 }
        if !carriesIPv6 { wants = wants.withoutIPv6(isKnown: Self.knowsIPv6) }
        let addresses = Set(try netlink.addresses(of: device))
        found += wants.addresses.filter { !addresses.contains($0) }.map { .address($0) }
        let wanted = wants.allRoutes(into: device)
        for table in Set(wanted.map(\.table)).sorted() {
            for family in IPAddress.Family.allCases {
                let those = wanted.filter { $0.table == table && $0.prefix.family == family }
                if those.isEmpty { continue }
                // Of the main table only what leads into the interface counts, and that is little.
                let present = Dictionary(
                    grouping: try netlink.tableRoutes(
                        family, table: table, device: table == RouteTable.main ? device : nil), by: \.prefix)
                found += those.filter { route in !present[route.prefix, default: []].contains(where: route.isMet) }
                    .map { .route($0) }
            }
        }
        let rules = Set(try netlink.rules())
        found += wants.rules.filter { !rules.contains($0) }.map { .rule($0) }
        return found
    }

    /// Has the tunnel's own datagrams go as the host's routes are now.
    /// - Returns: what is wrong, in words; nil for nothing.
    public func followWay(_ netlink: inout Netlink) throws(LinkError) -> String? {
        let (wants, device) = state.withLock { ($0.wants, $0.device) }
        return try wants.routes.way.flatMap { way throws(LinkError) in try netlink.follow(way, own: device) }
    }

    /// Puts one thing back. What a difference calls gone, a setting or a table of nftables is not this one's to put back.
    public func restore(_ difference: HostDifference, _ netlink: inout Netlink) throws(LinkError) {
        let (wants, device) = state.withLock { ($0.wants, $0.device) }
        switch difference {
        case .renamed: try netlink.rename(device, to: wants.name)
        case .group: try netlink.joinTunnels(device)
        case .down, .mtu: try netlink.setUp(device, mtu: wants.mtu)
        case .address(let address):
            try netlink.replaceAddress(address, on: device, makesRoute: wants.gateways == nil)
        case .route(let route):
            if case .unreachable = route.way { return try netlink.addRoute(route) }
            // Main is everybody's: who leads the prefix elsewhere has the last word there.
            if route.table == RouteTable.main {
                let other = try netlink.tableRoutes(route.prefix.family, table: route.table)
                    .first { $0.prefix == route.prefix && $0.belongsToSomebodyElse(than: device) }
                if let other { throw .routeTaken(route.prefix, by: netlink.describe(other)) }
            }
            try netlink.addRoute(route)
        case .rule(let rule): try netlink.addRule(rule)
        case .gone, .setting, .guardTable: return
        }
    }

    /// Has connections that found another way while IPv6 routes were missing look theirs up again. A connection remembers its
    /// IPv6 route, and a new one in another table doesn't tell it: it would stay outside, where the guard drops what it sends.
    public func refreshWays(after restored: [HostDifference], _ netlink: inout Netlink) throws(LinkError) {
        let isNeeded = restored.contains { difference in
            if case .route(let route) = difference { route.prefix.family == .v6 } else { false }
        }
        if isNeeded { try netlink.refreshIPv6Ways() }
    }
}

extension Netlink {
    /// Gives the interface another name. Kernels before 6.2 want it down for that; then it goes down and comes up.
    mutating func rename(_ index: Int32, to name: String) throws(LinkError) {
        do throws(LinkError) {
            try setName(of: index, to: name)
        } catch .refused(_, EBUSY) {
            try setDown(index)
            let outcome = Result { () throws(LinkError) in try setName(of: index, to: name) }
            try setUp(index)
            try outcome.get()
        }
    }

    private mutating func setName(of index: Int32, to name: String) throws(LinkError) {
        let message = try changeMessage(for: index)
        guard unsafe nla_put_string(message.pointer, Int32(IFLA_IFNAME), name) >= 0 else { throw .outOfMemory }
        try send(message, to: "rename interface \(index) to \(name)")
    }

    private mutating func setDown(_ index: Int32) throws(LinkError) {
        let unchanged = try unsafe NetlinkObject(rtnl_link_alloc(), release: rtnl_link_put)
        let changes = try unsafe NetlinkObject(rtnl_link_alloc(), release: rtnl_link_put)
        unsafe rtnl_link_set_ifindex(unchanged.pointer, index)
        unsafe rtnl_link_unset_flags(changes.pointer, UInt32(IFF_UP))
        let message = try unsafe request { message in
            unsafe rtnl_link_build_change_request(unchanged.pointer, changes.pointer, 0, &message)
        }
        try send(message, to: "take interface \(index) down")
    }
}
