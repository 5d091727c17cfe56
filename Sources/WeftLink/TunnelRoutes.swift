// SPDX-License-Identifier: Apache-2.0
import Weft

/// Where a tunnel's prefixes are routed.
public enum TunnelRoutes: Hashable, Sendable {
    /// Nowhere: the caller makes its own routes.
    case none
    /// Into a table of the caller's choice, without rules.
    case table([Prefix], UInt32)
    /// Into the main table, and through a table of their own where they cover a peer's endpoint.
    case policy(PolicyRouting)
}

extension TunnelRoutes {
    /// The prefixes that the tunnel's own datagrams, too, are routed into it for.
    public var catchingAll: [Prefix] {
        if case .policy(let plan) = self { plan.mainPrefixes } else { [] }
    }

    /// The routes that it takes to lead them into a device.
    /// - Parameter gateways: the routers on the device's link that stand for everybody behind it; none on a link that has
    ///   no neighbours.
    func routes(into device: Int32, gateways: OverlayGateways?) -> [WantedRoute] {
        func into(_ prefix: Prefix, _ table: UInt32) -> WantedRoute {
            WantedRoute(prefix, table: table, .device(device, gateway: gateways?[prefix.family]))
        }
        return switch self {
        case .none: []
        case .table(let prefixes, let table): prefixes.map { into($0, table) }
        case .policy(let plan):
            [UnderlayWay.sign].compactMap { $0 }.map {
                WantedRoute($0, table: plan.way.table, .device(device, gateway: nil))
            } + plan.deadEnds.map { WantedRoute($0, table: plan.table, .unreachable) }
                + plan.tunnelPrefixes.map { into($0, plan.table) } + plan.mainPrefixes.map { into($0, RouteTable.main) }
        }
    }

    /// The rules that it takes.
    /// - Parameter knowsIPv6: whether the kernel does.
    func rules(knowsIPv6: Bool) -> [Rule] {
        guard case .policy(let plan) = self else { return [] }
        return plan.way.rules.filter { knowsIPv6 || $0.family == .v4 } + plan.rules
    }

    /// How the tunnel's own datagrams go; nil where that isn't ours to say.
    public var way: UnderlayWay? { if case .policy(let plan) = self { plan.way } else { nil } }

    /// The number of the tunnel's own table; nil where it has none.
    var table: UInt32? { if case .policy(let plan) = self { plan.table } else { nil } }

    /// The same for a device that can't carry IPv6.
    func withoutIPv6(keepingDeadEnds: Bool) -> TunnelRoutes {
        switch self {
        case .none: .none
        case .table(let prefixes, let table): .table(prefixes.filter { $0.family == .v4 }, table)
        case .policy(let plan): .policy(plan.withoutIPv6(keepingDeadEnds: keepingDeadEnds))
        }
    }

    /// Whether any of them is IPv6.
    public var hasIPv6: Bool {
        switch self {
        case .none: false
        case .table(let prefixes, _): prefixes.contains { $0.family == .v6 }
        case .policy(let plan): (plan.mainPrefixes + plan.tunnelPrefixes).contains { $0.family == .v6 }
        }
    }

    /// Whether what isn't carried goes nowhere.
    public var isGuarded: Bool { if case .policy(let plan) = self { plan.isGuarded } else { false } }
}

/// The routers that an overlay's prefixes lead to where its link has neighbours: one for each family, so that the kernel
/// remembers one neighbour rather than one for each address. Nobody else sees the addresses.
public struct OverlayGateways: Hashable, Sendable {
    /// RFC 7600's dummy address, which no host has.
    public static let standard = OverlayGateways(
        v4: IPAddress(v4: 0xC000_0008), v6: IPAddress(v6: 0xFE80_0000_0000_0000, 1))

    let v4: IPAddress
    let v6: IPAddress

    subscript(family: IPAddress.Family) -> IPAddress { family == .v4 ? v4 : v6 }
}
