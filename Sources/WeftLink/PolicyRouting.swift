// SPDX-License-Identifier: Apache-2.0
import Weft

/// Which routes and rules lead the AllowedIPs into a tunnel and keep the tunnel's own datagrams out of it: a plan that
/// touches nothing until `Netlink.install`.
///
/// A prefix that covers no peer's endpoint goes to table main, like any other route. One that covers an endpoint (a
/// default route always counts as such) would catch the tunnel's own datagrams, so it goes to the tunnel's own table.
/// The underlay socket marks its datagrams (SO_MARK), and rules send only what is not marked there:
/// ```
/// not fwmark MARK lookup main suppress_prefixlength L
/// not fwmark MARK lookup TABLE suppress_prefixlength L-1
/// ```
/// once for each length L among these prefixes, longest first. MARK stands for all tunnels of the host, unless this one's was
/// chosen by hand. How the datagrams themselves go is ``UnderlayWay``'s. Main's routes that are longer than L come first, so the
/// longest match wins as it would in one table and the local network stays reachable. With L = 0 these are the two
/// rules that wg-quick makes for a default route.
///
/// When an endpoint moves, plan anew: it may have moved into a prefix that is in main.
///
/// A plan that is guarded keeps all prefixes in the tunnel's table, each with a dead end behind it: an unreachable route,
/// which needs no device. While the device has no routes its packets go nowhere, rather than where main leads.
public struct PolicyRouting: Hashable, Sendable {
    /// The prefixes to route through table main, shortest first, IPv4 before IPv6.
    public private(set) var mainPrefixes: [Prefix]
    /// The prefixes to route through the tunnel's own table, likewise.
    public private(set) var tunnelPrefixes: [Prefix]
    /// The rules that the tunnel's table needs, in the order in which the kernel tries them, IPv4 first.
    public private(set) var rules: [Rule]
    /// The number of the tunnel's own table.
    public let table: UInt32
    /// The mark of the tunnel's own datagrams.
    public let mark: UInt32
    /// Whether what the tunnel doesn't carry goes nowhere.
    public let isGuarded: Bool
    /// How the tunnel's own datagrams go.
    public let way: UnderlayWay

    /// Plans the routes for one tunnel.
    /// - Parameters:
    ///   - allowedIPs: all peers' prefixes; the order does not matter.
    ///   - endpoints: the underlay addresses of all peers that have one.
    ///   - mark: the mark of the tunnel's own datagrams, not 0.
    ///   - table: a routing table that nobody else uses: not 0 and not 253...255.
    ///   - isGuarded: whether what the tunnel doesn't carry is to go nowhere.
    ///   - through: the tunnel that this one's own datagrams go through; nil for none.
    /// - Throws: `LinkError.unusablePlan` for a mark or a table that can't work.
    public init(
        allowedIPs: some Sequence<Prefix>, endpoints: some Sequence<IPAddress>, mark: UInt32, table: UInt32,
        isGuarded: Bool = false, through: String? = nil
    ) throws(LinkError) {
        guard mark != 0 else {
            throw .unusablePlan("a mark of 0 cannot tell the tunnel's own datagrams apart: choose another")
        }
        guard !RouteTable.reserved.contains(table) else {
            throw .unusablePlan("routing table \(table) belongs to the kernel: choose another than 0 and 253 to 255")
        }
        let endpoints = Array(endpoints)
        let sorted = Set(allowedIPs).sorted {
            ($0.family.rawValue, $0.length, $0.address) < ($1.family.rawValue, $1.length, $1.address)
        }
        func catchesItself(_ prefix: Prefix) -> Bool {
            isGuarded || prefix.isDefault || endpoints.contains { prefix.contains($0) }
        }
        mainPrefixes = sorted.filter { !catchesItself($0) }
        tunnelPrefixes = sorted.filter(catchesItself)
        deadEnds = isGuarded ? tunnelPrefixes : []
        self.table = table
        self.mark = mark
        self.isGuarded = isGuarded
        way = UnderlayWay(mark: mark, tunnelTable: table, through: through)
        var rules: [Rule] = []
        for family in IPAddress.Family.allCases {
            let lengths = Set(tunnelPrefixes.filter { $0.family == family }.map(\.length))
            for length in lengths.sorted(by: >) {
                rules += Self.rules(family, length: length, mark: mark, table: table)
            }
        }
        self.rules = rules
    }

    /// The prefixes that lead nowhere when nothing else leads them into the device.
    public private(set) var deadEnds: [Prefix]

    /// Behind the priorities of all rules of this kind, and before the kernel's own.
    public static let lastPriority: UInt32 = RulePriority.first + 129 * RulePriority.slots * 2

    /// Whether a family's prefixes need a table of their own.
    public func usesRules(for family: IPAddress.Family) -> Bool {
        tunnelPrefixes.contains { $0.family == family }
    }

    /// The same for a device that can't carry IPv6.
    /// - Parameter keepingDeadEnds: whether there is IPv6 elsewhere on the host, so that dead ends make sense.
    func withoutIPv6(keepingDeadEnds: Bool) -> PolicyRouting {
        var rest = self
        rest.mainPrefixes.removeAll { $0.family == .v6 }
        rest.tunnelPrefixes.removeAll { $0.family == .v6 }
        if !keepingDeadEnds { rest.deadEnds.removeAll { $0.family == .v6 } }
        if !rest.deadEnds.contains(where: { $0.family == .v6 }) { rest.rules.removeAll { $0.family == .v6 } }
        return rest
    }

    private static func rules(_ family: IPAddress.Family, length: Int, mark: UInt32, table: UInt32) -> [Rule] {
        let (others, mask) = UnderlayMark.isCommon(mark) ? (UnderlayMark.common, UnderlayMark.mask) : (mark, nil)
        return [
            Rule(
                family: family, priority: RulePriority.main(length: length, table: table), mark: others, markMask: mask,
                invert: true, table: RouteTable.main, suppressPrefixLength: UInt8(length)),
            Rule(
                family: family, priority: RulePriority.tunnel(length: length, table: table), mark: others,
                markMask: mask, invert: true, table: table, suppressPrefixLength: length == 0 ? nil : UInt8(length - 1)),
        ]
    }
}

extension Netlink {
    /// Puts a plan into the kernel: all of it, or, when anything fails, none of it.
    ///
    /// The routes go with the device, but the rules outlive the process: a tunnel that may have crashed begins with
    /// `removeStrayRules()`.
    /// - Parameters:
    ///   - device: index of the tunnel's interface, which is up.
    ///   - mtu: path MTU in bytes for the routes; nil for the device's own.
    public mutating func install(_ plan: PolicyRouting, device: Int32, mtu: Int? = nil) throws(LinkError) {
        do {
            try replaceRoutes(plan.mainPrefixes, device: device, mtu: mtu)
            // The dead ends first: they hide behind the routes into the device.
            for prefix in plan.deadEnds { try addRoute(WantedRoute(prefix, table: plan.table, .unreachable)) }
            try replaceRoutes(plan.tunnelPrefixes, device: device, table: plan.table, mtu: mtu)
            // In their own order, so that the tunnel never takes what main's longer routes keep, not for a moment.
            for rule in plan.way.rules + plan.rules { try addRule(rule) }
        } catch {
            // The first error says what went wrong; one while tidying up would only hide it.
            try? uninstall(plan, device: device)
            throw error
        }
    }

    /// Takes a plan out of the kernel again; what is gone already is fine, and anybody else's routes and rules stay.
    public mutating func uninstall(_ plan: PolicyRouting, device: Int32) throws(LinkError) {
        try removeRules(table: plan.table)
        for prefix in plan.tunnelPrefixes { try removeRoute(prefix, device: device, table: plan.table) }
        for prefix in plan.deadEnds { try removeRoute(WantedRoute(prefix, table: plan.table, .unreachable)) }
        for prefix in plan.mainPrefixes { try removeRoute(prefix, device: device) }
    }
}
