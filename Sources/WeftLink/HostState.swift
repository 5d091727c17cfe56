// SPDX-License-Identifier: Apache-2.0
import Synchronization
import Weft

/// What a tunnel wants of its host.
public struct HostWants: Hashable, Sendable {
    /// The interface's name.
    public var name: String
    /// Bytes of an inner packet.
    public var mtu: Int
    public var addresses: [InterfaceAddress]
    /// What is led into the interface.
    public var routes: TunnelRoutes
    /// Where the interface's link has neighbours: the routers that stand for them.
    public var gateways: OverlayGateways?
    /// Whether a life before this one left its dead ends closed, so that a start that fails must not open them.
    public var isTakenOver = false

    public init(
        name: String, mtu: Int, addresses: [InterfaceAddress], routes: TunnelRoutes, gateways: OverlayGateways? = nil
    ) {
        self.name = name
        self.mtu = mtu
        self.addresses = addresses
        self.routes = routes
        self.gateways = gateways
    }
}

/// Owns a tunnel's addresses, routes and rules on the host: puts them there, notices what is no longer so, puts that back,
/// and takes everything away at the end. What others put there stays.
///
/// Addresses and routes go with the interface. Rules don't, nor do the dead ends of a guarded tunnel.
public final class HostState: Sendable {
    struct State {
        var wants: HostWants
        /// The interface's index.
        var device: Int32
        /// Whether the interface can have IPv6 at all.
        var carriesIPv6 = true
    }

    let state: Mutex<State>
    /// Where all of it is; nil for the network of the threads that call.
    let namespace: (any LinkNamespace)?
    private let isAbandoned = Atomic(false)

    /// Configures an interface and leads the routes into it; when that fails nothing is left behind but the interface.
    /// - Parameters:
    ///   - device: the interface's index.
    ///   - namespace: where it is; nil for the calling thread's network.
    public init(_ wants: HostWants, device: Int32, in namespace: (any LinkNamespace)? = nil) throws(LinkError) {
        state = Mutex(State(wants: wants, device: device))
        self.namespace = namespace
        var netlink = try Netlink(in: namespace)
        // A life that was killed leaves its rules behind, though not its routes.
        try netlink.removeStrayRules()
        try netlink.removeStrayWays()
        try install(&netlink)
    }

    private func install(_ netlink: inout Netlink) throws(LinkError) {
        var (wants, device) = state.withLock { ($0.wants, $0.device) }
        // Before anything leads there.
        try netlink.joinTunnels(device)
        try netlink.setUp(device, mtu: wants.mtu)
        let carriesIPv6 = hasIPv6(wants.name)
        state.withLock { $0.carriesIPv6 = carriesIPv6 }
        if !carriesIPv6 { wants = wants.withoutIPv6(isKnown: Self.knowsIPv6) }
        let taken = try netlink.routesTaken(of: wants, device: device)
        if let taken { throw taken }
        do {
            for address in wants.addresses {
                try netlink.replaceAddress(address, on: device, makesRoute: wants.gateways == nil)
            }
            for route in wants.allRoutes(into: device) { try netlink.addRoute(route) }
            // In their own order, so that the tunnel never takes what main's longer routes keep, not for a moment.
            if let way = wants.routes.way { _ = try netlink.follow(way, own: device) }
            for rule in wants.rules { try netlink.addRule(rule) }
            try netlink.prune(wants)
        } catch {
            // The first error says what went wrong; one while tidying up would only hide it.
            if !wants.isTakenOver { try? netlink.take(wants, from: device) }
            throw error
        }
    }

    /// What the tunnel wants at present.
    public var wants: HostWants { state.withLock { $0.wants } }
    /// The interface's index at present.
    public var device: Int32 { state.withLock { $0.device } }
    /// Whether the interface carries IPv6; where it doesn't, IPv6 prefixes are left out, or lead nowhere if guarded.
    public var carriesIPv6: Bool { state.withLock { $0.carriesIPv6 } }

    /// Leads other prefixes into the interface. What stays isn't touched; what is new comes before what is old goes.
    /// - Throws: when the kernel refuses; everything is then as it was, but for what it couldn't take back.
    public func update(to routes: TunnelRoutes) throws(LinkError) {
        var (old, device) = state.withLock { ($0.wants, $0.device) }
        var new = old
        new.routes = routes
        let wanted = new
        if !hasIPv6(old.name) {
            (old, new) = (old.withoutIPv6(isKnown: Self.knowsIPv6), new.withoutIPv6(isKnown: Self.knowsIPv6))
        }
        var netlink = try Netlink(in: namespace)
        if let taken = try netlink.routesTaken(of: new, device: device) { throw taken }
        let (before, after) = (Set(old.allRoutes(into: device)), Set(new.allRoutes(into: device)))
        let (rulesBefore, rulesAfter) = (Set(old.rules), Set(new.rules))
        let (freshRoutes, freshRules) = (after.subtracting(before).sorted(), rulesAfter.subtracting(rulesBefore))
        do {
            for route in freshRoutes { try netlink.addRoute(route) }
            for rule in new.rules where freshRules.contains(rule) { try netlink.addRule(rule) }
        } catch {
            for rule in freshRules { try? netlink.removeUnshared(rule, of: new.routes.table) }
            for route in freshRoutes.reversed() { try? netlink.removeRoute(route) }
            throw error
        }
        for rule in old.rules.reversed() where !rulesAfter.contains(rule) {
            try? netlink.removeUnshared(rule, of: old.routes.table)
        }
        for route in before.subtracting(after).sorted().reversed() { try? netlink.removeRoute(route) }
        state.withLock { $0.wants = wanted }
    }

    /// Has the interface take packets of so many bytes from now on.
    public func setMTU(_ mtu: Int) throws(LinkError) {
        let device = state.withLock { state in
            state.wants.mtu = mtu
            return state.device
        }
        var netlink = try Netlink(in: namespace)
        try netlink.setUp(device, mtu: mtu)
    }

    /// The interface was made anew: configures that one and leads the routes into it.
    public func move(to device: Int32) throws(LinkError) {
        state.withLock { $0.device = device }
        var netlink = try Netlink(in: namespace)
        try install(&netlink)
    }

    /// The tunnel ends.
    /// - Parameter isClean: whether somebody wants it to. Else a guarded tunnel leaves its rules and dead ends, as it would if
    ///   it were killed, for the next start.
    public func end(isClean: Bool) {
        let wants = wants
        if isClean && !isAbandoned.load(ordering: .acquiring) || !wants.routes.isGuarded { remove() }
    }

    /// However the data path ends, nobody wanted it to.
    public func abandon() { isAbandoned.store(true, ordering: .releasing) }

    /// It never came to running: everything is as before.
    public func endBeforeStart() { end(isClean: !wants.isTakenOver) }

    /// Takes rules and routes away; what is gone already is fine, and twice is harmless.
    public func remove() {
        guard var netlink = try? Netlink(in: namespace) else { return }
        let (wants, device) = state.withLock { ($0.wants, $0.device) }
        try? netlink.take(wants, from: device)
    }

    /// Whether the kernel knows IPv6.
    static var knowsIPv6: Bool { HostSetting.value(at: "net/ipv6/conf/all/disable_ipv6") != nil }

    /// Whether an interface may have IPv6.
    func hasIPv6(_ name: String) -> Bool {
        let path = "net/ipv6/conf/\(name)/disable_ipv6"
        return (namespace.map { $0.setting(at: path) } ?? HostSetting.value(at: path)) == "0"
    }
}

extension HostWants {
    /// All the rules that it takes.
    var rules: [Rule] { routes.rules(knowsIPv6: HostState.knowsIPv6) }

    /// All the routes that it takes, each dead end before what hides it.
    func allRoutes(into device: Int32) -> [WantedRoute] {
        var routes = routes.routes(into: device, gateways: gateways)
        if let gateways {
            // The kernel's own routes for the addresses' prefixes would make it look for each neighbour by itself.
            let present = Set(routes.map(\.prefix))
            routes += addresses.map(\.prefix).filter { $0.length < $0.family.bitWidth && !present.contains($0) }
                .map { WantedRoute($0, .device(device, gateway: gateways[$0.family])) }
        }
        return routes
    }

    /// The same where the interface can't have IPv6. Dead ends stay as long as the kernel knows it.
    func withoutIPv6(isKnown: Bool) -> HostWants {
        var rest = self
        rest.addresses.removeAll { $0.address.family == .v6 }
        rest.routes = routes.withoutIPv6(keepingDeadEnds: isKnown)
        return rest
    }
}

extension Netlink {
    /// Removes a rule, unless it is one by which another tunnel of the same slot looks main up, too.
    mutating func removeUnshared(_ rule: Rule, of table: UInt32?) throws(LinkError) {
        if rule.table == RouteTable.main, rule.suppressPrefixLength != nil {
            let isShared = try rules().contains {
                $0.family == rule.family && $0.priority == rule.priority + 1 && $0.table != table
            }
            if isShared { return }
        }
        try removeRule(rule)
    }

    /// Removes the rules and dead ends of a life before this one that are no longer wanted.
    mutating func prune(_ wants: HostWants) throws(LinkError) {
        guard let table = wants.routes.table else { return }
        for rule in RulePriority.rules(of: table, among: try rules()).reversed()
        where !wants.rules.contains(rule) { try removeUnshared(rule, of: table) }
        let wanted = Set(wants.routes.routes(into: 0, gateways: nil).filter { $0.way == .unreachable }.map(\.prefix))
        for family in IPAddress.Family.allCases {
            for route in try tableRoutes(family, table: table)
            where route.kind == .unreachable && route.owner == .weft && !wanted.contains(route.prefix) {
                try removeRoute(WantedRoute(route.prefix, table: table, .unreachable))
            }
        }
    }

    /// Takes routes and rules out of the kernel, the rules first.
    mutating func take(_ wants: HostWants, from device: Int32) throws(LinkError) {
        if let table = wants.routes.table { try removeRules(table: table) }
        if let way = wants.routes.way { try removeWay(way.table) }
        for route in wants.allRoutes(into: device).reversed() { try removeRoute(route) }
    }

    /// Why somebody else's routes in table main, or in a table of the caller's choice, don't leave room for ours; nil when
    /// they do.
    mutating func routesTaken(of wants: HostWants, device: Int32) throws(LinkError) -> LinkError? {
        let wanted = wants.routes.routes(into: device, gateways: wants.gateways).filter { $0.way != .unreachable }
        for table in Set(wanted.map(\.table)).sorted() {
            let prefixes = Set(wanted.filter { $0.table == table }.map(\.prefix))
            for family in IPAddress.Family.allCases where prefixes.contains(where: { $0.family == family }) {
                for route in try tableRoutes(family, table: table) where prefixes.contains(route.prefix) {
                    if route.belongsToSomebodyElse(than: device) {
                        return .routeTaken(route.prefix, by: describe(route))
                    }
                }
            }
        }
        return nil
    }
}
