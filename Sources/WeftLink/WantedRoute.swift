// SPDX-License-Identifier: Apache-2.0
import Weft

/// One entry of a routing table that a tunnel wants to be there.
public struct WantedRoute: Hashable, Sendable {
    /// Where it leads.
    public enum Way: Hashable, Sendable {
        /// To an interface, or over it to a router that needs no address of ours beside it (onlink).
        case device(Int32, gateway: IPAddress?)
        /// Nowhere: the sender is told. It is passed over as long as any other route to its prefix is there.
        case unreachable
    }

    public let prefix: Prefix
    public let table: UInt32
    public let way: Way

    public init(_ prefix: Prefix, table: UInt32 = RouteTable.main, _ way: Way) {
        self.prefix = prefix
        self.table = table
        self.way = way
    }

    /// The metric of a route that is to lose against every other one.
    static let lastMetric = UInt32.max

    /// Whether a route of the kernel's is the one that is wanted, whoever made it.
    func isMet(by route: KernelRoute) -> Bool {
        guard route.prefix == prefix, route.table == table else { return false }
        switch way {
        case .unreachable:
            return route.kind == .unreachable && route.owner == .weft
        case .device(let device, let gateway):
            return route.kind == .unicast && (route.owner == .weft || route.owner == .kernel)
                && route.nexthops == [KernelRoute.Nexthop(device: device, gateway: gateway)]
        }
    }
}

extension WantedRoute: CustomStringConvertible {
    public var description: String {
        let place = table == RouteTable.main ? "" : " in table \(RouteTable.name(of: table))"
        return switch way {
        case .unreachable: "unreachable \(prefix)\(place)"
        case .device: "\(prefix)\(place)"
        }
    }
}

extension WantedRoute: Comparable {
    /// The dead end comes before the way that hides it.
    public static func < (left: WantedRoute, right: WantedRoute) -> Bool {
        if left.table != right.table { return left.table < right.table }
        if left.prefix != right.prefix { return left.prefix < right.prefix }
        return left.way == .unreachable && right.way != .unreachable
    }
}
