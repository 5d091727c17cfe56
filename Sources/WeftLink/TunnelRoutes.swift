// SPDX-License-Identifier: Apache-2.0
import Weft

/// Where a tunnel's prefixes are routed.
public enum TunnelRoutes: Sendable {
    /// Nowhere: the caller makes its own routes.
    case none
    /// Into a table of the caller's choice, without rules.
    case table([Prefix], UInt32)
    /// Into the main table, and through a table of their own where they cover a peer's endpoint.
    case policy(PolicyRouting)

    /// A route's prefix, and its table.
    public struct Entry: Hashable, Sendable {
        public let prefix: Prefix
        public let table: UInt32
    }

    /// All routes of the plan.
    public var entries: [Entry] {
        switch self {
        case .none: []
        case .table(let prefixes, let table): prefixes.map { Entry(prefix: $0, table: table) }
        case .policy(let plan):
            plan.mainPrefixes.map { Entry(prefix: $0, table: RouteTable.main) }
                + plan.tunnelPrefixes.map { Entry(prefix: $0, table: plan.table) }
        }
    }
}

extension Netlink {
    /// Routes into a device that is up.
    public mutating func install(_ routes: TunnelRoutes, device: Int32) throws(LinkError) {
        // A life that was killed leaves its rules behind, though not its routes.
        try removeStrayRules()
        switch routes {
        case .none: break
        case .table(let prefixes, let table): try replaceRoutes(prefixes, device: device, table: table)
        case .policy(let plan): try install(plan, device: device)
        }
    }
}
