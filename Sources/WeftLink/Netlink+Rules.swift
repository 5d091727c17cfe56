// SPDX-License-Identifier: Apache-2.0
import CWeftNetlink
import Glibc
import Weft

extension Netlink {
    /// Adds a rule with Weft's protocol number; an identical one of Weft's that is there already is fine.
    public mutating func addRule(_ rule: Rule) throws(LinkError) {
        if try rules().contains(rule) { return }
        // Without NLM_F_EXCL: somebody else's identical rule may go at any time, so it is no substitute for ours.
        try send(rule.message(Int32(RTM_NEWRULE), flags: NLM_F_CREATE), to: "add rule \(rule)")
    }

    /// Makes all sockets look their IPv6 routes up again, as any change of rules does.
    mutating func refreshIPv6Ways() throws(LinkError) {
        let rule = Rule(family: .v6, priority: RulePriority.passing, table: RouteTable.main)
        try addRule(rule)
        try removeRule(rule)
    }

    /// Removes the rules that Weft made for a tunnel's table: those that look it up, and those that look main up first
    /// on its behalf, which `RulePriority` tells apart. Anybody else's rules stay.
    public mutating func removeRules(table: UInt32) throws(LinkError) {
        // The last first, so that the tunnel never takes traffic which a rule before its own would have kept.
        // The one that names the table of the tunnel's own datagrams goes at the very end: it tells their mark.
        let way = UnderlayWay.table(of: table)
        while true {
            let rest = RulePriority.rules(of: table, among: try rules())
            guard let rule = rest.last(where: { $0.table != way }) ?? rest.last else { return }
            try removeRule(rule)
        }
    }

    /// Removes the rules of tunnels that are gone: those whose table holds no route any more. Routes go with a device, and
    /// a tunnel makes its routes before its rules.
    public mutating func removeStrayRules() throws(LinkError) {
        for table in Set(try rules().map(\.table))
        where table != 0 && table != RouteTable.main && !UnderlayMark.isWay(table) {
            if try routes(table: table).isEmpty { try removeRules(table: table) }
        }
    }

    /// The rules with Weft's protocol number, of both families, each in the order in which the kernel tries them.
    public mutating func rules() throws(LinkError) -> [Rule] {
        try ruleMessages().compactMap { Rule(message: $0) }
    }

    /// Everybody's rules, as messages with their headers, IPv4 first.
    mutating func ruleMessages() throws(LinkError) -> [[UInt8]] {
        var messages: [[UInt8]] = []
        for family in IPAddress.Family.allCases {
            do {
                messages += try dump(Int32(RTM_GETRULE), family: family.addressFamily, to: "list rules")
            } catch .refused(_, EAFNOSUPPORT) {
                continue  // A kernel without IPv6 has no IPv6 rules.
            }
        }
        return messages
    }

    /// Removes a rule of Weft's; one that isn't there is fine.
    public mutating func removeRule(_ rule: Rule) throws(LinkError) {
        do {
            // The kernel compares every attribute that a request names, the protocol among them.
            try send(rule.message(Int32(RTM_DELRULE), flags: 0), to: "remove rule \(rule)")
        } catch .refused(_, ENOENT), .refused(_, EAFNOSUPPORT) {
            return
        }
    }
}
