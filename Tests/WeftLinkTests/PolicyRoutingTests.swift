// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft

@testable import WeftLink

/// What a plan is made from and what it must say; rules without their priorities.
struct PlanCase: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let allowedIPs: [String]
    let endpoints: [String]
    let main: [String]
    let tunnel: [String]
    let rules: [String]

    static let all = [
        PlanCase(
            testDescription: "nothing", allowedIPs: [], endpoints: ["192.0.2.1"], main: [], tunnel: [],
            rules: []),
        PlanCase(
            testDescription: "plain prefixes",
            allowedIPs: ["fd77::/64", "10.77.0.2", "10.77.0.0/24", "10.77.0.2/32"], endpoints: ["192.0.2.1"],
            main: ["10.77.0.0/24", "10.77.0.2/32", "fd77::/64"], tunnel: [],
            rules: []),
        PlanCase(
            testDescription: "IPv4 default", allowedIPs: ["0.0.0.0/0", "fd77::/64"], endpoints: ["192.0.2.1"],
            main: ["fd77::/64"], tunnel: ["0.0.0.0/0"],
            rules: [
                "not from all fwmark 0x77 lookup main suppress_prefixlength 0",
                "not from all fwmark 0x77 lookup 51820",
            ]),
        PlanCase(
            testDescription: "both defaults, no endpoint", allowedIPs: ["::/0", "0.0.0.0/0"], endpoints: [], main: [],
            tunnel: ["0.0.0.0/0", "::/0"],
            rules: [
                "not from all fwmark 0x77 lookup main suppress_prefixlength 0",
                "not from all fwmark 0x77 lookup 51820",
                "not from all fwmark 0x77 lookup main suppress_prefixlength 0",
                "not from all fwmark 0x77 lookup 51820",
            ]),
        PlanCase(
            testDescription: "a prefix that covers an endpoint", allowedIPs: ["10.0.0.0/8", "10.77.0.0/24"],
            endpoints: ["10.200.0.1", "2001:db8::1"], main: ["10.77.0.0/24"], tunnel: ["10.0.0.0/8"],
            rules: [
                "not from all fwmark 0x77 lookup main suppress_prefixlength 8",
                "not from all fwmark 0x77 lookup 51820 suppress_prefixlength 7",
            ]),
        PlanCase(
            testDescription: "the endpoint itself", allowedIPs: ["2001:db8::1", "2001:db8::2"],
            endpoints: ["2001:db8::1"], main: ["2001:db8::2/128"], tunnel: ["2001:db8::1/128"],
            rules: [
                "not from all fwmark 0x77 lookup main suppress_prefixlength 128",
                "not from all fwmark 0x77 lookup 51820 suppress_prefixlength 127",
            ]),
        PlanCase(
            testDescription: "halves of a default", allowedIPs: ["0.0.0.0/1", "128.0.0.0/1"],
            endpoints: ["192.0.2.1"], main: ["0.0.0.0/1"], tunnel: ["128.0.0.0/1"],
            rules: [
                "not from all fwmark 0x77 lookup main suppress_prefixlength 1",
                "not from all fwmark 0x77 lookup 51820 suppress_prefixlength 0",
            ]),
        PlanCase(
            testDescription: "several lengths",
            allowedIPs: ["0.0.0.0/0", "192.0.0.0/8", "192.0.2.0/24", "198.0.0.0/8"],
            endpoints: ["192.0.2.1", "198.51.100.1"], main: [],
            tunnel: ["0.0.0.0/0", "192.0.0.0/8", "198.0.0.0/8", "192.0.2.0/24"],
            rules: [
                "not from all fwmark 0x77 lookup main suppress_prefixlength 24",
                "not from all fwmark 0x77 lookup 51820 suppress_prefixlength 23",
                "not from all fwmark 0x77 lookup main suppress_prefixlength 8",
                "not from all fwmark 0x77 lookup 51820 suppress_prefixlength 7",
                "not from all fwmark 0x77 lookup main suppress_prefixlength 0", "not from all fwmark 0x77 lookup 51820",
            ]),
    ]
}

struct PolicyRoutingTests {
    @Test func guardsAllPrefixesInATableOfItsOwn() throws {
        let prefixes = ["0.0.0.0/0", "10.77.0.0/24", "fd77::/64"].compactMap { Prefix($0) }
        let mark = UnderlayMark.own(port: 6081)
        let plan = try PolicyRouting(
            allowedIPs: prefixes, endpoints: [IPAddress](), mark: mark, table: mark, isGuarded: true)
        #expect(plan.mainPrefixes.isEmpty && plan.tunnelPrefixes == prefixes && plan.deadEnds == prefixes)
        #expect(
            plan.rules.map { $0.description.drop { $0 != " " }.dropFirst() } == [
                "not from all fwmark 0x77650000/0xffff0000 lookup main suppress_prefixlength 24",
                "not from all fwmark 0x77650000/0xffff0000 lookup 2003113921 suppress_prefixlength 23",
                "not from all fwmark 0x77650000/0xffff0000 lookup main suppress_prefixlength 0",
                "not from all fwmark 0x77650000/0xffff0000 lookup 2003113921",
                "not from all fwmark 0x77650000/0xffff0000 lookup main suppress_prefixlength 64",
                "not from all fwmark 0x77650000/0xffff0000 lookup 2003113921 suppress_prefixlength 63",
            ])
        let rest = plan.withoutIPv6(keepingDeadEnds: true)
        #expect(
            rest.tunnelPrefixes == Array(prefixes.prefix(2)) && rest.deadEnds == prefixes && rest.rules == plan.rules)
        let none = plan.withoutIPv6(keepingDeadEnds: false)
        #expect(none.deadEnds == rest.tunnelPrefixes && none.rules.allSatisfy { $0.family == .v4 })
    }

    @Test func leavesOthersMarksAlone() throws {
        let prefixes = ["10.77.0.0/24", "fd77::/64"].compactMap { Prefix($0) }
        let mark = UnderlayMark.own(port: 6081)
        let plan = try PolicyRouting(
            allowedIPs: prefixes, endpoints: [IPAddress("192.0.2.1")].compactMap(\.self), mark: mark, table: mark)
        #expect(plan.rules.isEmpty && plan.deadEnds.isEmpty && plan.mainPrefixes == prefixes)
    }

    @Test(arguments: PlanCase.all)
    func plans(example: PlanCase) throws {
        let plan = try PolicyRouting(
            allowedIPs: example.allowedIPs.map { try #require(Prefix($0)) },
            endpoints: example.endpoints.map { try #require(IPAddress($0)) }, mark: 0x77, table: 51_820)

        #expect(plan.mainPrefixes.map(\.description) == example.main)
        #expect(plan.tunnelPrefixes.map(\.description) == example.tunnel)
        #expect(plan.rules.map { $0.description.drop { $0 != " " }.dropFirst() } == example.rules.map { $0[...] })
        for family in IPAddress.Family.allCases {
            let priorities = plan.rules.filter { $0.family == family }.map(\.priority)
            #expect(priorities == Set(priorities).sorted())
            #expect(plan.usesRules(for: family) == plan.tunnelPrefixes.contains { $0.family == family })
        }
    }

    @Test(
        arguments: [(mark: 0, table: 51_820), (1, 0), (1, 253), (1, 254), (1, 255)] as [(mark: UInt32, table: UInt32)])
    func refusesWhatCannotWork(mark: UInt32, table: UInt32) {
        #expect(throws: LinkError.self) {
            try PolicyRouting(allowedIPs: [Prefix](), endpoints: [], mark: mark, table: table)
        }
    }

    @Test(arguments: [1, 63, 64, 51_820, UInt32.max])
    func keepsPrioritiesApart(table: UInt32) {
        let main = (0...128).map { RulePriority.main(length: $0, table: table) }
        let tunnel = (0...128).map { RulePriority.tunnel(length: $0, table: table) }
        #expect(Set(main + tunnel).count == 258)
        #expect((main + tunnel).allSatisfy { (15_000...31_511).contains($0) })
        #expect(main == main.sorted(by: >))
        #expect(main.allSatisfy { RulePriority.isMain($0, of: table) && !RulePriority.isMain($0, of: table &+ 1) })
        #expect(!tunnel.contains { RulePriority.isMain($0, of: table) })
        #expect(!RulePriority.isMain(0, of: table) && !RulePriority.isMain(32_766, of: table))
    }
}
