// SPDX-License-Identifier: Apache-2.0
import Weft

extension Netlink {
    /// Removes rules and dead ends that a guarded tunnel left when it was killed: those of `table`, and of each of Weft's tables
    /// from which no route leads into an interface any more.
    /// - Parameter claimed: tables of other tunnels, which stay.
    /// - Returns: whether there were any.
    public mutating func openDeadEnds(of table: UInt32?, except claimed: Set<UInt32>) throws(LinkError) -> Bool {
        var tables = Set(try rules().map(\.table)).subtracting(claimed).subtracting(RouteTable.reserved)
            .filter { !UnderlayMark.isWay($0) }
        if let table { tables.insert(table) }
        // A tunnel without a guard leaves its way alone.
        var isFound = try removeStrayWays()
        for table in tables.sorted() where try openDeadEnds(of: table) { isFound = true }
        return isFound
    }

    /// Removes rules and dead ends of one table, unless anything leads somewhere by it.
    /// - Returns: whether it was so.
    public mutating func openDeadEnds(of table: UInt32) throws(LinkError) -> Bool {
        var routes: [KernelRoute] = []
        for family in IPAddress.Family.allCases { routes += try tableRoutes(family, table: table) }
        guard routes.allSatisfy({ $0.kind == .unreachable && $0.owner == .weft }) else { return false }
        try removeRules(table: table)
        for route in routes { try removeRoute(WantedRoute(route.prefix, table: table, .unreachable)) }
        return true
    }

    /// Other tables of Weft's that a family's default route is taken by, each with the interface that it leads into; nil while
    /// it leads nowhere.
    public mutating func otherDefaults(
        than plan: PolicyRouting
    ) throws(LinkError) -> [(family: IPAddress.Family, table: UInt32, device: String?)] {
        var found: [(family: IPAddress.Family, table: UInt32, device: String?)] = []
        let taken = plan.tunnelPrefixes.filter(\.isDefault).map(\.family)
        for rule in try rules()
        where rule.invert && rule.suppressPrefixLength == nil && rule.table != plan.table
            && taken.contains(rule.family)
        {
            let routes = try tableRoutes(rule.family, table: rule.table).filter { $0.prefix.isDefault }
            if routes.isEmpty { continue }
            let index = routes.lazy.filter { $0.kind == .unicast }.flatMap(\.nexthops).first?.device
            found.append(
                (rule.family, rule.table, try index.map { index throws(LinkError) in try interfaceName(of: index) }))
        }
        return found
    }
}
