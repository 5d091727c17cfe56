// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft

@testable import WeftLink

/// One address family's material for a test.
struct FamilyCase: Sendable, CustomTestStringConvertible {
    let flag: String
    let prefix: String
    let own: String
    let connected: String
    let underlay: String
    let gateway: String
    var testDescription: String { flag }

    static let all = [
        FamilyCase(
            flag: "-4", prefix: "10.88.0.0/24", own: "10.77.0.1/24", connected: "10.77.0.0/24",
            underlay: "198.51.100.2/24", gateway: "198.51.100.1"),
        FamilyCase(
            flag: "-6", prefix: "fd88::/64", own: "fd77::1/64", connected: "fd77::/64",
            underlay: "2001:db8::2/64", gateway: "2001:db8::1"),
    ]
}

@Suite(.enabled(if: isRoot, "needs root, for a network namespace of its own"))
struct RouteTests {
    @Test(arguments: FamilyCase.all, [RouteTable.main, 51_820])
    func replacesItsOwnRoute(family: FamilyCase, table: UInt32) throws {
        let prefix = try #require(Prefix(family.prefix))
        try inNewNamespace {
            try makeInterfaces()
            var netlink = try Netlink()
            let tunnel = try netlink.interfaceIndex(of: "tunnel")
            func ours() throws -> [KernelRoute] {
                try netlink.routes(table: table, device: tunnel).filter { $0.prefix == prefix }
            }

            try netlink.replaceRoute(prefix, device: tunnel, table: table)
            try netlink.replaceRoute(prefix, device: tunnel, table: table, mtu: 1300)

            let route = try #require(try ours().first)
            #expect(try ours().count == 1)
            #expect(route.owner == .weft && route.mtu == 1300 && route.leadsOnly(into: tunnel))
            let shown = try ip("\(family.flag) route show table \(table) proto 119")
            #expect(shown.count == 1 && shown[0].hasPrefix("\(family.prefix) dev tunnel "))

            try netlink.removeRoute(prefix, device: tunnel, table: table)
            try netlink.removeRoute(prefix, device: tunnel, table: table)
            #expect(try ours().isEmpty)
        }
    }

    @Test(
        arguments: FamilyCase.all,
        [
            ("dev underlay proto static", "underlay (protocol static, table main)"),
            ("dev underlay", "underlay (protocol boot, table main)"),
            ("dev tunnel proto static", "tunnel (protocol static, table main)"),
            ("dev underlay proto 119", "underlay (protocol weft, table main)"),
            ("dev underlay proto dhcp metric 77", "underlay (protocol dhcp, table main)"),
            ("via GATEWAY proto bird", "underlay via GATEWAY (protocol bird, table main)"),
            ("nexthop via GATEWAY nexthop via GATEWAY9", "and elsewhere (protocol boot, table main)"),
        ])
    func leavesSomebodyElsesRoute(family: FamilyCase, other: (route: String, description: String)) throws {
        let (prefix, free) = (try #require(Prefix(family.prefix)), try #require(Prefix(family.connected)))
        try inNewNamespace {
            try makeInterfaces()
            try ip("addr add \(family.underlay) dev underlay")
            let route = other.route.replacing("GATEWAY", with: family.gateway)
            try ip("\(family.flag) route add \(family.prefix) \(route)")
            let before = try allRoutes(family.flag)
            var netlink = try Netlink()
            let tunnel = try netlink.interfaceIndex(of: "tunnel")

            let error = #expect(throws: LinkError.self) {
                try netlink.replaceRoutes([free, prefix], device: tunnel)
            }
            let expected = other.description.replacing("GATEWAY", with: family.gateway)
            #expect(error?.description.contains("\(expected); remove that route or change AllowedIPs") == true)
            #expect(error?.description.hasPrefix("\(prefix) is already routed to ") == true)
            try netlink.removeRoute(prefix, device: tunnel)

            #expect(try allRoutes(family.flag) == before)
        }
    }

    @Test(arguments: FamilyCase.all, ["blackhole", "unreachable", "prohibit"])
    func namesARouteToNowhere(family: FamilyCase, kind: String) throws {
        let prefix = try #require(Prefix(family.prefix))
        try inNewNamespace {
            try makeInterfaces()
            try ip("\(family.flag) route add \(kind) \(family.prefix) proto static")
            var netlink = try Netlink()
            let tunnel = try netlink.interfaceIndex(of: "tunnel")
            #expect(throws: LinkError.routeTaken(prefix, by: "nowhere (\(kind), protocol static, table main)")) {
                try netlink.replaceRoute(prefix, device: tunnel)
            }
        }
    }

    @Test(arguments: FamilyCase.all)
    func takesItsOwnConnectedRouteForPresent(family: FamilyCase) throws {
        let (own, connected) = (try #require(InterfaceAddress(family.own)), try #require(Prefix(family.connected)))
        try inNewNamespace {
            try makeInterfaces()
            var netlink = try Netlink()
            let tunnel = try netlink.interfaceIndex(of: "tunnel")
            let underlay = try netlink.interfaceIndex(of: "underlay")
            try netlink.replaceAddress(own, on: tunnel)

            try netlink.replaceRoute(connected, device: tunnel)
            try netlink.removeRoute(connected, device: tunnel)

            let routes = try netlink.routes(device: tunnel).filter { $0.prefix == connected }
            #expect(routes.map(\.owner) == [.kernel])
            #expect(throws: LinkError.routeTaken(connected, by: "tunnel (protocol kernel, table main)")) {
                try netlink.replaceRoute(connected, device: underlay)
            }
        }
    }

    @Test func sharesTheLinkLocalPrefix() throws {
        let (linkLocal, host) = (try #require(Prefix("fe80::/64")), try #require(Prefix("fe80::77/128")))
        try inNewNamespace {
            try makeInterfaces()
            var netlink = try Netlink()
            let tunnel = try netlink.interfaceIndex(of: "tunnel")
            try setSysctl("net/ipv6/conf/tunnel/addr_gen_mode", to: 1)
            try ip("-6 addr flush dev tunnel")
            try netlink.replaceRoutes([linkLocal, host], device: tunnel)
            let ours = try netlink.routes(device: tunnel).filter { $0.owner == .weft }.map(\.prefix)
            #expect(Set(ours) == [linkLocal, host])
        }
    }

    @Test func saysThatTheInterfaceIsDown() throws {
        let prefix = try #require(Prefix("10.88.0.0/24"))
        try inNewNamespace {
            try ip("link add tunnel type veth peer name far")
            var netlink = try Netlink()
            let tunnel = try netlink.interfaceIndex(of: "tunnel")
            let error = #expect(throws: LinkError.self) { try netlink.replaceRoute(prefix, device: tunnel) }
            #expect(
                error?.description
                    == "cannot add route 10.88.0.0/24 to table main: the interface is down; bring it up first")
        }
    }

    @Test func addsManyRoutes() throws {
        let prefixes = (0..<2_000).map { Prefix(host: IPAddress(v4: 0x0a63_0000 + UInt32($0))) }
        try inNewNamespace {
            try makeInterfaces()
            var netlink = try Netlink()
            let tunnel = try netlink.interfaceIndex(of: "tunnel")
            for _ in 0..<2 {
                try netlink.replaceRoutes(prefixes, device: tunnel)
                #expect(try Set(netlink.routes(device: tunnel).map(\.prefix)).isSuperset(of: prefixes))
            }
        }
    }
}
