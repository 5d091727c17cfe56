// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftLink

/// A tunnel's table in the packet filter, as text for nft(8).
///
/// Its guard looks at what leaves, whatever way the routes took it: what the tunnel should carry leaves by the tunnel's
/// interface or not at all. What main routes by a longer prefix may leave, and so may what the host's own rules, tried before
/// the tunnel's, lead elsewhere. Nothing of that depends on the rules being there.
public struct GuardTable: Hashable, Sendable {
    /// Commands that put the table in the place of whatever bears its name, in one step.
    public let text: String
    /// The host's own rules whose packets are not let through, since the filter can't say which they are.
    public let notFollowed: [UInt32]

    /// After whoever translates addresses or marks packets, which changes the way that they take.
    private static let priority = 10
    /// Behind connection tracking (-200), before filters that ask for the way back (firewalld: -140).
    private static let arrivalPriority = -150
    /// The most rules of the host's that are followed.
    private static let mostRules = 256

    public init(_ plan: GuardPlan, _ view: GuardView) {
        let followed = view.earlier.prefix(Self.mostRules).filter { EarlierRule.isFollowed($0) }
        notFollowed = view.earlier.filter { rule in !followed.contains(rule) }.map(\.priority)
        var body = "    comment \"\(Self.comment(plan))\"\n"
        if !plan.guarded.isEmpty { body += Self.guarding(plan, view, Array(followed)) }
        if !plan.arrivals.isEmpty || plan.tracksAnswers { body += Self.arriving(plan) }
        text = Self.removal(of: plan.name) + "table inet \(plan.tableName) {\n\(body)}\n"
    }

    /// Commands that take a tunnel's table away, if there is one.
    public static func removal(of tunnel: String) -> String {
        let name = GuardPlan.tableName(of: tunnel)
        return "add table inet \(name)\ndelete table inet \(name)\n"
    }

    // MARK: - What can be read from a table that is there

    private static func comment(_ plan: GuardPlan) -> String {
        "routing table \(plan.table), mark \(plan.mark); weft down \(plan.name) removes this"
    }

    /// The number of the routing table that a listed table's comment names.
    static func routingTable(in listing: String) -> UInt32? {
        guard let start = listing.firstRange(of: "comment \"routing table ") else { return nil }
        return UInt32(listing[start.upperBound...].prefix { $0.isNumber })
    }

    // MARK: - Parts

    private static func guarding(_ plan: GuardPlan, _ view: GuardView, _ earlier: [KernelRule]) -> String {
        var text = ""
        var drops = ""
        for family in IPAddress.Family.allCases {
            let ranges = GuardedRanges.ranges(
                plan.guarded.filter { $0.family == family }, except: view.main.filter { $0.family == family })
            if ranges.isEmpty { continue }
            let (set, ip) = family == .v4 ? ("guarded4", "ip") : ("guarded6", "ip6")
            text += """
                    set \(set) {
                        type ipv\(family.rawValue)_addr
                        flags interval
                        elements = { \(ranges.map(\.description).joined(separator: ", ")) }
                    }

                """
            drops += "        \(ip) daddr @\(set) counter drop\n"
        }
        for hook in EarlierRule.Hook.allCases {
            var jumps = ""
            for (number, rule) in earlier.enumerated() {
                guard case .table(let table) = rule.action else { continue }
                let name = "\(hook.rawValue)-\(number)"
                guard let chain = EarlierRule.chain(name, rule, hook, view.tables[table, default: []]) else { continue }
                text += chain
                jumps += "        jump \(name)\n"
            }
            let isOwn =
                UnderlayMark.isCommon(plan.mark) ? "& \(UnderlayMark.mask) == \(UnderlayMark.common)" : "\(plan.mark)"
            text += """
                    chain \(hook.rawValue) {
                        type filter hook \(hook.rawValue) priority \(priority); policy accept;
                        oifname { "lo", "\(plan.name)" } accept
                        meta mark \(isOwn) accept
                        ip daddr { 224.0.0.0/24, 255.255.255.255 } accept
                        ip6 daddr { fe80::/10, ff01::/16, ff02::/16 } accept
                \(jumps)\(drops)    }

                """
        }
        return text
    }

    /// Marks what comes for the tunnel's sockets, so that the way back is looked up as for what they send.
    private static func arriving(_ plan: GuardPlan) -> String {
        var text = ""
        var lines = ""
        if !plan.arrivals.isEmpty {
            let ports = plan.arrivals.map(String.init).joined(separator: ", ")
            lines += "        udp dport { \(ports) } fib daddr type local meta mark set \(plan.mark)\n"
        }
        if plan.tracksAnswers {
            lines += "        ct mark \(plan.mark) ct direction reply meta mark set ct mark\n"
            text += """
                    chain leaving {
                        type filter hook postrouting priority \(arrivalPriority); policy accept;
                        meta mark \(plan.mark) ct mark set meta mark
                    }

                """
        }
        text += """
                chain arriving {
                    type filter hook prerouting priority \(arrivalPriority); policy accept;
            \(lines)    }

            """
        return text
    }
}
