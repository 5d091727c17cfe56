// SPDX-License-Identifier: Apache-2.0
import Synchronization
import Weft

/// Where a tunnel's prefixes are routed.
public enum TunnelRoutes: Sendable {
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

    fileprivate struct Entry: Hashable {
        let prefix: Prefix
        let table: UInt32
    }

    /// Each route's prefix, and its table.
    fileprivate var entries: Set<Entry> {
        switch self {
        case .none: []
        case .table(let prefixes, let table): Set(prefixes.map { Entry(prefix: $0, table: table) })
        case .policy(let plan):
            Set(plan.mainPrefixes.map { Entry(prefix: $0, table: RouteTable.main) })
                .union(plan.tunnelPrefixes.map { Entry(prefix: $0, table: plan.table) })
        }
    }
}

/// What leads into a tunnel's device now. Routes go with the device; rules outlive it, and must be taken back.
public final class InstalledRoutes: Sendable {
    private let device: Int32
    private let routes: Mutex<TunnelRoutes>

    /// Routes into a device that is up; when that fails nothing is left behind.
    /// - Parameter device: its index.
    public init(_ routes: TunnelRoutes, device: Int32) throws(LinkError) {
        self.device = device
        self.routes = Mutex(routes)
        var netlink = try Netlink()
        // A life that was killed leaves its rules behind, though not its routes.
        try netlink.removeStrayRules()
        switch routes {
        case .none: break
        case .table(let prefixes, let table): try netlink.replaceRoutes(prefixes, device: device, table: table)
        case .policy(let plan): try netlink.install(plan, device: device)
        }
    }

    /// Leads other prefixes into the device. What stays isn't touched; what is new comes before what is old goes.
    /// - Throws: when the kernel refuses; the routes are then as they were, but for what it couldn't take back.
    public func update(to new: TunnelRoutes) throws(LinkError) {
        let old = routes.withLock { $0 }
        var netlink = try Netlink()
        switch (old, new) {
        case (.policy(let before), .policy(let after)):
            // A plan that can't be installed takes itself out again; then what was there comes back.
            try netlink.removeRules(table: before.table)
            do {
                try netlink.install(after, device: device)
            } catch {
                try? netlink.install(before, device: device)
                throw error
            }
        case (_, .table(let prefixes, let table)): try netlink.replaceRoutes(prefixes, device: device, table: table)
        default: break
        }
        for entry in old.entries.subtracting(new.entries) {
            try? netlink.removeRoute(entry.prefix, device: device, table: entry.table)
        }
        routes.withLock { $0 = new }
    }

    /// Takes the rules away; twice is harmless.
    public func removeRules() {
        guard case .policy(let plan) = routes.withLock({ $0 }), var netlink = try? Netlink() else { return }
        try? netlink.uninstall(plan, device: device)
    }
}
