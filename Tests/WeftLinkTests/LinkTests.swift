// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft

@testable import WeftLink

@Suite(.enabled(if: isRoot, "needs root, for a network namespace of its own"))
struct LinkTests {
    @Test func bringsAnInterfaceUpWithItsMTU() throws {
        try inNewNamespace {
            try ip("link add tunnel type veth peer name far")
            var netlink = try Netlink()
            let tunnel = try netlink.interfaceIndex(of: "tunnel")
            #expect(try netlink.interfaceName(of: tunnel) == "tunnel")
            #expect(try !netlink.isUp(tunnel))

            try netlink.setUp(tunnel, mtu: 1380)

            #expect(try netlink.isUp(tunnel))
            #expect(try netlink.mtu(of: tunnel) == 1380)
            #expect(try ip("-o link show tunnel").first?.contains("mtu 1380") == true)
            try netlink.setUp(tunnel)
            #expect(try netlink.mtu(of: tunnel) == 1380)
        }
    }

    @Test(arguments: ["absent", "", "a-name-that-is-far-too-long"])
    func namesAnInterfaceThatIsNotThere(name: String) throws {
        try inNewNamespace {
            var netlink = try Netlink()
            #expect(throws: LinkError.noInterface(name)) { try netlink.interfaceIndex(of: name) }
            for index: Int32 in [-1, 0, 77] {
                #expect(throws: LinkError.noInterface("\(index)")) { try netlink.mtu(of: index) }
            }
        }
    }

    @Test func refusesAnImpossibleMTU() throws {
        try inNewNamespace {
            try makeInterfaces()
            var netlink = try Netlink()
            let tunnel = try netlink.interfaceIndex(of: "tunnel")
            #expect(throws: LinkError.self) { try netlink.setUp(tunnel, mtu: 70_000) }
            #expect(throws: LinkError.self) { try netlink.setUp(tunnel, mtu: -1) }
            #expect(try netlink.mtu(of: tunnel) == 1500)
        }
    }

    @Test(arguments: [
        ("10.77.0.1/24", "10.77.0.1/16"), ("10.77.0.1/32", "10.77.0.1/24"), ("fd77::1/64", "fd77::1/48"),
        ("fd77::1/128", "fd77::1/64"),
    ])
    func replacesAnAddress(first: String, second: String) throws {
        let (first, second) = (try #require(InterfaceAddress(first)), try #require(InterfaceAddress(second)))
        try inNewNamespace {
            try makeInterfaces()
            var netlink = try Netlink()
            let tunnel = try netlink.interfaceIndex(of: "tunnel")
            func ours() throws -> [InterfaceAddress] {
                try netlink.addresses(of: tunnel).filter { $0.address == first.address }
            }

            try netlink.replaceAddress(first, on: tunnel)
            try netlink.replaceAddress(first, on: tunnel)
            #expect(try ours() == [first])
            #expect(try ip("-o addr show dev tunnel tentative").allSatisfy { !$0.contains("\(first)") })
            #expect(try ip("-o addr show dev tunnel").contains { $0.contains(" \(first) ") })

            try netlink.replaceAddress(second, on: tunnel)
            #expect(try ours() == [second])

            try netlink.removeAddress(second, on: tunnel)
            try netlink.removeAddress(second, on: tunnel)
            #expect(try ours().isEmpty)
        }
    }

    @Test func saysThatIPv6IsOff() throws {
        try inNewNamespace {
            try makeInterfaces()
            try setSysctl("net/ipv6/conf/tunnel/disable_ipv6", to: 1)
            var netlink = try Netlink()
            let tunnel = try netlink.interfaceIndex(of: "tunnel")
            let address = try #require(InterfaceAddress("fd77::1/64"))
            let error = #expect(throws: LinkError.self) { try netlink.replaceAddress(address, on: tunnel) }
            #expect(error?.description.contains("IPv6 is disabled") == true)
        }
    }
}

@Test(.enabled(if: !isRoot, "needs an ordinary user"))
func tellsAnOrdinaryUserWhatToDo() throws {
    var netlink = try Netlink()
    let loopback = try netlink.interfaceIndex(of: "lo")
    #expect(throws: LinkError.notPermitted) { try netlink.setUp(loopback) }
    #expect(throws: LinkError.notPermitted) {
        try netlink.addRule(Rule(family: .v4, priority: 15_000, table: 51_820))
    }
}

@Test func explainsErrors() throws {
    let prefix = try #require(Prefix("10.77.0.2/32"))
    #expect(
        LinkError.kernel(1, during: "add a route").description
            == "cannot change addresses and routes: run as root or grant CAP_NET_ADMIN")
    #expect(
        LinkError.routeTaken(prefix, by: "eth0 (protocol static, table main)").description
            == "10.77.0.2/32 is already routed to eth0 (protocol static, table main); "
            + "remove that route or change AllowedIPs")
    #expect(LinkError.kernel(22, during: "add a route").description == "cannot add a route: Invalid argument")
}
