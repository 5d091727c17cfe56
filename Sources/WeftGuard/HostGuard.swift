// SPDX-License-Identifier: Apache-2.0
import Synchronization
import Weft
import WeftLink

/// What a tunnel has in the packet filter, and the settings that it shares with other tunnels.
///
/// The table outlives the process: a tunnel that was killed leaves it, closed, for the next start to take over.
public final class HostGuard: Sendable {
    private struct State {
        var plan: GuardPlan
        /// The commands that made the table that is there; nil while there is none.
        var applied: GuardTable?
        /// How that table is listed.
        var listing: String?
        /// Whether somebody other than its process closed it: a life before this one.
        var wasThere = false
        /// Whether its table is still there.
        var isLeft = false
        /// The routing table of that life.
        var formerTable: UInt32?
        var needed: Set<SharedSettings.Setting> = []
    }

    private let nftables: Nftables
    private let shared: SharedSettings
    private let state: Mutex<State>

    /// Looks whether a life before this one left its table; changes nothing.
    /// - Throws: where there is no nftables.
    public init(_ plan: GuardPlan) throws(GuardError) {
        nftables = try Nftables()
        shared = SharedSettings(nftables, tunnel: plan.name)
        let listing = try nftables.list(plan.tableName)
        state = Mutex(
            State(
                plan: plan, wasThere: listing != nil, isLeft: listing != nil,
                formerTable: listing.flatMap(GuardTable.routingTable)))
    }

    public var plan: GuardPlan { state.withLock { $0.plan } }

    /// Whether a life before this one left its table, so that a start that fails must not open it.
    public var wasThere: Bool { state.withLock { $0.wasThere } }

    /// The routing table of a life before this one, if that was another.
    var formerTable: UInt32? { state.withLock { $0.formerTable == $0.plan.table ? nil : $0.formerTable } }

    /// The tunnel whose guard is for a routing table.
    func tunnel(ofTable table: UInt32) -> String? {
        (try? nftables.tables())?.first { name in
            name.hasPrefix("weft-")
                && (try? nftables.list(name)).flatMap { $0 }.flatMap(GuardTable.routingTable) == table
        }.map { String($0.dropFirst(5)) }
    }

    /// The rules of the host whose packets the guard doesn't let through, by their priorities.
    public var notFollowed: [UInt32] { state.withLock { $0.applied?.notFollowed ?? [] } }

    /// Puts the table there as it must be with these routes; nothing happens where it is so already.
    /// - Returns: whether anything was done.
    @discardableResult
    public func apply(_ plan: GuardPlan, _ view: GuardView) throws(GuardError) -> Bool {
        let table = plan.isEmpty ? nil : GuardTable(plan, view)
        let before = state.withLock { state in
            state.plan = plan
            return state.applied
        }
        let isLeft = state.withLock { $0.isLeft }
        guard table != before || (table == nil && isLeft) else { return false }
        try put(table)
        return true
    }

    private func put(_ table: GuardTable?) throws(GuardError) {
        let plan = plan
        try nftables.run(table?.text ?? GuardTable.removal(of: plan.name))
        let listing = table == nil ? nil : try nftables.list(plan.tableName)
        state.withLock { state in
            state.applied = table
            state.listing = listing
            state.isLeft = false
        }
    }

    /// Whether the table is what was put there.
    public func isWhole() throws(GuardError) -> Bool {
        let (name, listing, isWanted) = state.withLock { ($0.plan.tableName, $0.listing, $0.applied != nil) }
        guard isWanted else { return true }
        return try nftables.list(name) == listing
    }

    /// Puts the table back.
    public func restore() throws(GuardError) { try put(state.withLock { $0.applied }) }

    // MARK: - Settings

    /// Changes settings of the whole host that the tunnel needs.
    func acquire(_ settings: Set<SharedSettings.Setting>) throws {
        for setting in settings.sorted(by: { $0.rawValue < $1.rawValue }) {
            try shared.acquire(setting)
            state.withLock { _ = $0.needed.insert(setting) }
        }
    }

    /// Puts back what tells tunnels of one another.
    func restoreShared() throws(GuardError) { try shared.restoreTable() }

    /// The settings that are no longer as the tunnel needs them.
    func changedSettings() -> [HostSetting] {
        let needed = state.withLock { $0.needed }
        return needed.map(\.needed).filter { !$0.holds }.sorted { $0.path < $1.path }
    }

    /// Whether a filter of firewalld's asks for the way back of IPv6 packets.
    func hasFirewalldFilter() -> Bool {
        (try? nftables.list("firewalld"))?.map { $0.contains("fib saddr") } ?? false
    }

    /// Takes everything away: what the tunnel should carry may leave by any way again.
    public func remove() {
        try? put(nil)
        try? shared.release()
    }
}

extension HostGuard {
    /// Opens what a tunnel without a process left closed.
    /// - Returns: whether there was anything.
    public static func open(tunnel: String) throws -> Bool {
        let nftables = try Nftables()
        let listing = try nftables.list(GuardPlan.tableName(of: tunnel))
        var netlink = try Netlink()
        var claimed: Set<UInt32> = []
        for name in try nftables.tables() where name.hasPrefix("weft-") && name != GuardPlan.tableName(of: tunnel) {
            if let table = try nftables.list(name).flatMap(GuardTable.routingTable) { claimed.insert(table) }
        }
        let opened = try netlink.openDeadEnds(
            of: listing.flatMap(GuardTable.routingTable), except: claimed)
        if listing != nil { try nftables.run(GuardTable.removal(of: tunnel)) }
        try SharedSettings(nftables, tunnel: tunnel).release()
        return listing != nil || opened
    }
}

extension Nftables {
    /// The names of all tables of family inet.
    func tables() throws(GuardError) -> [String] {
        try run("list tables inet").split(separator: "\n").compactMap { line in
            line.split(separator: " ").last.map(String.init)
        }
    }
}
