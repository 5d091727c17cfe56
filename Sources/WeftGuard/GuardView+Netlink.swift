// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftLink

extension GuardView {
    /// Reads how the host routes now.
    /// - Parameter plan: whose guard is to know it.
    init(_ plan: GuardPlan, _ netlink: inout Netlink) throws(LinkError) {
        self.init()
        if plan.guarded.isEmpty { return }
        let rules = try netlink.allRules()
        // What leads into the tunnel needs no way past it.
        let device = try? netlink.interfaceIndex(of: plan.name)
        for family in IPAddress.Family.allCases where plan.guarded.contains(where: { $0.family == family }) {
            main.formUnion(
                try netlink.tableRoutes(family, table: RouteTable.main)
                    .filter { $0.leadsSomewhere && device.map($0.leadsOnly) != true }.map(\.prefix))
            let own = rules.filter { $0.family == family && $0.action == .table(plan.table) && $0.owner == .weft }
            // Before they are there, or while they are gone, where the last of them belongs.
            let last = own.map(\.priority).max() ?? PolicyRouting.lastPriority
            earlier += rules.filter { $0.family == family && $0.priority < last && !isOurs($0, plan) }
        }
        for case .table(let table) in Set(earlier.map(\.action)) where tables[table] == nil {
            if table == RouteTable.main {
                tables[table] = main
                continue
            }
            var led: Set<Prefix> = []
            for family in IPAddress.Family.allCases {
                led.formUnion(try netlink.tableRoutes(family, table: table).filter(\.leadsSomewhere).map(\.prefix))
            }
            tables[table] = led
        }
    }

    /// Whether a rule is the tunnel's own, one for what the filter knows anyway, or the kernel's own for local addresses.
    private func isOurs(_ rule: KernelRule, _ plan: GuardPlan) -> Bool {
        if rule.action == .table(RouteTable.local) { return true }
        guard rule.owner == .weft else { return false }
        if rule.action == .table(plan.table) { return true }
        // Main's longer routes are looked at by themselves, and so is each mark that tunnels have in common.
        if rule.suppressPrefixLength != nil, rule.action == .table(RouteTable.main) { return true }
        return !rule.invert && rule.mark.map { $0 == plan.mark || UnderlayMark.isCommon($0) } ?? false
    }
}

extension KernelRoute {
    /// Whether packets go anywhere by it.
    fileprivate var leadsSomewhere: Bool {
        switch kind {
        case .blackhole, .unreachable, .prohibit: false
        case .unicast, .local, .other: true
        }
    }
}
