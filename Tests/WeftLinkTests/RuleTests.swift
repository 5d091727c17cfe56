// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft

@testable import WeftLink

@Suite(.enabled(if: isRoot, "needs root, for a network namespace of its own"))
struct RuleTests {
    private static let mark: UInt32 = 0x5745_4654

    /// Every rule of both families, as `ip` sees them.
    private func allRules() throws -> [String] { try ip("-4 rule show") + ip("-6 rule show") }

    private func plan(_ allowedIPs: [String], table: UInt32) throws -> PolicyRouting {
        try PolicyRouting(
            allowedIPs: allowedIPs.map { try #require(Prefix($0)) },
            endpoints: [IPAddress("203.0.113.1"), IPAddress("2001:db8:1::1")].compactMap(\.self),
            mark: Self.mark, table: table)
    }

    @Test(arguments: [
        Rule(family: .v4, priority: 20_000, table: 100),
        Rule(family: .v6, priority: 20_000, mark: 7, invert: true, table: 51_820),
        Rule(family: .v4, priority: 1, mark: 7, markMask: 0xff, table: 51_820, suppressPrefixLength: 0),
        Rule(family: .v6, priority: 31_000, mark: 7, invert: true, table: 254, suppressPrefixLength: 127),
    ])
    func addsARuleOnce(rule: Rule) throws {
        try inNewNamespace {
            var netlink = try Netlink()
            #expect(try netlink.rules().isEmpty)
            try netlink.addRule(rule)
            try netlink.addRule(rule)
            #expect(try netlink.rules() == [rule])
        }
    }

    @Test func removesItsOwnRulesOnly() throws {
        try inNewNamespace {
            var netlink = try Netlink()
            let plan = try plan(["0.0.0.0/0", "::/0"], table: 100)
            // The same rules as the plan's, and others for its table, but somebody else's.
            for rule in plan.rules {
                let mark = rule.mark.map { "fwmark \($0)" } ?? ""
                let suppress = rule.suppressPrefixLength.map { "suppress_prefixlength \($0)" } ?? ""
                try ip(
                    """
                    \(rule.family == .v4 ? "-4" : "-6") rule add \(rule.invert ? "not" : "") pref \(rule.priority) \
                    \(mark) table \(rule.table) \(suppress)
                    """)
            }
            try ip("-4 rule add pref 20000 table 100 protocol static")
            try ip("-6 rule add pref 15000 fwmark 9 table 100")
            let before = try allRules()

            for rule in plan.rules { try netlink.addRule(rule) }
            #expect(try netlink.rules() == plan.rules)
            #expect(try allRules().count == before.count + plan.rules.count)

            try netlink.removeRules(table: 100)
            try netlink.removeRules(table: 100)
            #expect(try netlink.rules().isEmpty)
            #expect(try allRules() == before)
        }
    }

    /// Tables 100 and 164 share their slot of priorities, and so the rules for main; 101 does not.
    @Test(arguments: [101, 164] as [UInt32])
    func leavesAnotherTunnelsRules(other: UInt32) throws {
        try inNewNamespace {
            var netlink = try Netlink()
            let (first, second) = (try plan(["0.0.0.0/0"], table: 100), try plan(["0.0.0.0/0"], table: other))
            for rule in first.rules + second.rules { try netlink.addRule(rule) }
            try netlink.removeRules(table: 100)
            #expect(try netlink.rules() == second.rules)
            try netlink.removeRules(table: other)
            #expect(try netlink.rules().isEmpty)
        }
    }

    /// The plan at work, judged by the kernel's own route lookup.
    @Test(arguments: [
        (["0.0.0.0/0", "::/0"], ["203.0.113.1", "192.0.2.7", "2001:db8:1::1", "2001:db8:9::1"], ["198.51.100.9"]),
        (
            ["203.0.0.0/8", "2001:db8::/32"], ["203.0.113.1", "2001:db8:1::1"],
            ["192.0.2.7", "198.51.100.9", "2001:db8::9"]
        ),
        (["128.0.0.0/1", "2000::/3"], ["203.0.113.1", "2001:db8:9::1"], ["1.1.1.1", "198.51.100.9", "2001:db8::9"]),
        (["203.0.113.1", "2001:db8:1::1"], ["203.0.113.1", "2001:db8:1::1"], ["203.0.113.2", "2001:db8:1::2"]),
        (["192.0.2.0/24"], ["192.0.2.7"], ["203.0.113.1"]),
    ])
    func leadsTrafficIntoTheTunnel(allowedIPs: [String], inside: [String], outside: [String]) throws {
        try inNewNamespace {
            try makeInterfaces()
            for family in FamilyCase.all {
                try ip("addr add \(family.underlay) dev underlay")
                try ip("\(family.flag) route add default via \(family.gateway) proto static")
            }
            var netlink = try Netlink()
            let tunnel = try netlink.interfaceIndex(of: "tunnel")
            for address in ["10.77.0.1/32", "fd77::1/128"] {
                try netlink.replaceAddress(#require(InterfaceAddress(address)), on: tunnel)
            }
            func device(to address: String, _ options: String = "") throws -> String {
                let words = try ip("route get \(address) \(options)").first?.split(separator: " ") ?? []
                return words.firstIndex(of: "dev").map { String(words[$0 + 1]) } ?? ""
            }
            let before = try (allRules(), allRoutes("-4"), allRoutes("-6"))
            let plan = try plan(allowedIPs, table: 51_820)

            try netlink.install(plan, device: tunnel, mtu: 1300)
            try netlink.install(plan, device: tunnel, mtu: 1300)

            for address in inside { #expect(try device(to: address) == "tunnel", "to \(address)") }
            for address in outside { #expect(try device(to: address) == "underlay", "to \(address)") }
            for endpoint in ["203.0.113.1", "2001:db8:1::1"] {
                #expect(try device(to: endpoint, "mark \(Self.mark)") == "underlay", "marked, to \(endpoint)")
            }

            try netlink.uninstall(plan, device: tunnel)
            try netlink.uninstall(plan, device: tunnel)
            let after = try (allRules(), allRoutes("-4"), allRoutes("-6"))
            #expect(after == before)
        }
    }

    @Test func installsAllOrNothing() throws {
        try inNewNamespace {
            try makeInterfaces()
            try ip("route add default dev underlay table 51820")
            var netlink = try Netlink()
            let tunnel = try netlink.interfaceIndex(of: "tunnel")
            let before = try (allRules(), allRoutes("-4"))
            let plan = try plan(["0.0.0.0/0", "10.88.0.0/24"], table: 51_820)
            let error = #expect(throws: LinkError.self) { try netlink.install(plan, device: tunnel) }
            #expect(
                error == .routeTaken(try #require(Prefix("0.0.0.0/0")), by: "underlay (protocol boot, table 51820)"))
            let after = try (allRules(), allRoutes("-4"))
            #expect(after == before)
        }
    }
}
