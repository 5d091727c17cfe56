// SPDX-License-Identifier: Apache-2.0
import CWeftNetlink
import Glibc
import Weft

/// How a tunnel's own datagrams find their way: never into a tunnel, or through one and nowhere else.
///
/// They bear its mark, and rules before all tunnels' send them past those:
/// ```
/// fwmark MARK lookup main suppress_ifgroup TUNNELS
/// fwmark MARK lookup WAY
/// ... the host's other rules ...
/// fwmark MARK unreachable
/// ```
/// Where main's longest route leads into a tunnel, the first rule passes over the whole of main, and the table WAY has copies of
/// main's routes that would come next. The last one comes before the kernel's own rule for main. A tunnel that goes through
/// another has copies of that one's routes in WAY, no first rule, and the last one right behind.
public struct UnderlayWay: Hashable, Sendable {
    public let mark: UInt32
    /// The number of the table WAY.
    public let table: UInt32
    /// The tunnel that the datagrams go through; nil for none.
    public let through: String?
    let rules: [Rule]

    init(mark: UInt32, tunnelTable: UInt32, through: String?) {
        self.mark = mark
        self.through = through
        let way = Self.table(of: tunnelTable)
        table = way
        rules = IPAddress.Family.allCases.flatMap { family in
            let past = Rule(
                family: family, priority: RulePriority.past(table: tunnelTable), mark: mark, table: RouteTable.main,
                suppressGroup: InterfaceGroup.tunnels)
            let along = Rule(
                family: family, priority: RulePriority.along(table: tunnelTable), mark: mark, table: way)
            let end = Rule(
                family: family, priority: RulePriority.end(table: tunnelTable, isEarly: through != nil), mark: mark,
                table: 0, isDeadEnd: true)
            return through == nil ? [past, along, end] : [along, end]
        }
    }

    /// The number of the table that belongs to a tunnel's own: the letters "wu" where those are "we".
    static func table(of table: UInt32) -> UInt32 { table ^ 0x0010_0000 }

    /// A route that is in WAY for as long as the tunnel has its interface, by which a tunnel that is gone is known. No host has
    /// the address (RFC 7600).
    static let sign = Prefix(IPAddress(v4: 0xC000_0008), length: 32)
}

extension Netlink {
    /// Puts into a tunnel's WAY what belongs there now, and takes away what doesn't.
    /// - Parameter own: the tunnel's interface.
    /// - Returns: what is wrong, in words; nil for nothing.
    mutating func follow(_ way: UnderlayWay, own: Int32) throws(LinkError) -> String? {
        var (wanted, trouble) = try copies(for: way, own: own)
        var present: Set<RouteCopy> = []
        for family in IPAddress.Family.allCases {
            for message in try routeMessages(family, table: way.table) {
                guard let route = KernelRoute(message: message), route.table == way.table,
                    route.owner == .weft, route.prefix != UnderlayWay.sign,
                    let copy = RouteCopy(route, message: message, into: way.table)
                else { continue }
                present.insert(copy)
            }
        }
        for copy in present.subtracting(wanted) { try? remove(copy) }
        for copy in wanted.subtracting(present) {
            do throws(LinkError) {
                try send(
                    copy.message(Int32(RTM_NEWROUTE), flags: NLM_F_CREATE),
                    to: "add route \(copy.prefix) in table \(way.table)")
            } catch .refused(_, EEXIST) {
                continue
            } catch {
                // Other datagrams have a way nevertheless.
                trouble = trouble ?? "\(error)"
            }
        }
        return trouble
    }

    private mutating func remove(_ copy: RouteCopy) throws(LinkError) {
        try send(copy.message(Int32(RTM_DELROUTE), flags: 0), to: "remove route \(copy.prefix)")
    }

    private mutating func copies(
        for way: UnderlayWay, own: Int32
    ) throws(LinkError) -> (Set<RouteCopy>, trouble: String?) {
        let tunnels = try tunnelInterfaces().subtracting([own])
        var copies: Set<RouteCopy> = []
        if let name = way.through {
            guard let device = try? interfaceIndex(of: name), tunnels.contains(device) else {
                return ([], "Through: \(name) isn't up: nothing is sent until it is")
            }
            for family in IPAddress.Family.allCases {
                for (route, message) in try routes(family, into: device) {
                    if let copy = RouteCopy(route, message: message, into: way.table) { copies.insert(copy) }
                }
            }
            return (copies, nil)
        }
        for family in IPAddress.Family.allCases {
            var covered: Set<Prefix> = []
            for device in tunnels {
                covered.formUnion(try tableRoutes(family, table: RouteTable.main, device: device).map(\.prefix))
            }
            // As long as no tunnel is in main, main says it all.
            if covered.isEmpty { continue }
            for message in try routeMessages(family, table: RouteTable.main) {
                guard let route = KernelRoute(message: message), route.table == RouteTable.main,
                    covered.contains(where: { route.prefix.contains($0) }),
                    !route.nexthops.contains(where: { tunnels.contains($0.device) || $0.device == own }),
                    let copy = RouteCopy(route, message: message, into: way.table)
                else { continue }
                copies.insert(copy)
            }
        }
        return (copies, nil)
    }

    /// All routes into an interface but those to its own addresses, and but for copies.
    mutating func routes(
        _ family: IPAddress.Family, into device: Int32
    ) throws(LinkError) -> [(KernelRoute, message: [UInt8])] {
        try routeMessages(family, table: 0, device: device).compactMap { message in
            guard let route = KernelRoute(message: message), route.kind == .unicast, route.table != RouteTable.local,
                route.nexthops.contains(where: { $0.device == device }), route.prefix != UnderlayWay.sign,
                !UnderlayMark.isWay(route.table)
            else { return nil }
            return (route, message)
        }
    }

    /// What stands in the way of going through a tunnel, in words; nil for nothing.
    /// - Parameters:
    ///   - endpoints: where datagrams are to go.
    public mutating func obstacle(through name: String, to endpoints: [IPAddress]) throws(LinkError) -> String? {
        guard let device = try? interfaceIndex(of: name), try tunnelInterfaces().contains(device) else {
            return "Through: no tunnel \(name) is up: bring it up first, with `weft up \(name)`"
        }
        for endpoint in endpoints {
            let isCarried = try routes(endpoint.family, into: device).contains { $0.0.prefix.contains(endpoint) }
            if !isCarried {
                return
                    "Through: \(name) carries nothing to the endpoint \(endpoint): add that to AllowedIPs in \(name)'s file"
            }
        }
        return nil
    }

    /// The tunnel that an endpoint lies in by a route of main's, though this tunnel's own datagrams go past it; nil for none.
    public mutating func tunnelPassed(on way: UnderlayWay, to endpoint: IPAddress) throws(LinkError) -> String? {
        guard way.through == nil else { return nil }
        for device in try tunnelInterfaces() {
            let routes = try tableRoutes(endpoint.family, table: RouteTable.main, device: device)
            if routes.contains(where: { $0.prefix.contains(endpoint) }) { return try interfaceName(of: device) }
        }
        return nil
    }

    /// Removes the rules and the copies of tunnels that are gone.
    /// - Returns: whether there were any.
    @discardableResult
    mutating func removeStrayWays() throws(LinkError) -> Bool {
        var isFound = false
        for table in Set(try rules().map(\.table)) where UnderlayMark.isWay(table) {
            let isAlive = try tableRoutes(.v4, table: table).contains { $0.prefix == UnderlayWay.sign }
            if isAlive { continue }
            try removeWay(table)
            isFound = true
        }
        return isFound
    }

    /// Removes a WAY, with its rules.
    mutating func removeWay(_ table: UInt32) throws(LinkError) {
        let marks = Set(try rules().filter { $0.table == table }.compactMap(\.mark))
        for rule in try rules().reversed()
        where rule.table == table || RulePriority.isWay(rule.priority) && rule.mark.map(marks.contains) ?? false {
            try removeRule(rule)
        }
        for family in IPAddress.Family.allCases {
            for message in try routeMessages(family, table: table) {
                guard let route = KernelRoute(message: message), route.table == table, route.owner == .weft,
                    let copy = RouteCopy(route, message: message, into: table)
                else { continue }
                try? remove(copy)
            }
        }
    }
}
