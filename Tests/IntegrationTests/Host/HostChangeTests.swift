// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

@testable import WeftNode
@testable import weft

/// Something that happens to a host with a tunnel, and what the tunnel says that it put back.
struct HostChange: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let script: String
    let kind: String

    static let table = "$(ip rule | sed -n 's/.*not from .* lookup \\([0-9]*\\) proto 119.*/\\1/p' | head -n 1)"
    /// What the tunnel's own datagrams go by.
    static let way =
        "$(ip rule | sed -n 's/^[0-9]*:.from all fwmark .* lookup \\([0-9]*\\) proto 119.*/\\1/p' | head -n 1)"

    static let all = [
        HostChange(
            testDescription: "all rules but the kernel's deleted",
            script: """
                for f in -4 -6; do
                    for p in $(ip $f rule show | cut -d: -f1); do
                        if [ $p -gt 0 ] && [ $p -lt 32766 ]; then ip $f rule delete priority $p; fi
                    done
                done
                """, kind: "rules"),
        HostChange(
            testDescription: "ip rule flush",
            script: """
                ip -4 rule flush; ip -6 rule flush; sleep 1
                for f in -4 -6; do ip $f rule add priority 32766 lookup main; done
                ip -4 rule add priority 32767 lookup default
                """, kind: "rules"),
        HostChange(
            testDescription: "the tunnel's routing table flushed",
            script: "t=\(table); ip -4 route flush table $t; ip -6 route flush table $t", kind: "routes"),
        HostChange(
            testDescription: "the dead end deleted", script: "ip route delete unreachable default table \(table)",
            kind: "routes"),
        HostChange(
            testDescription: "the table of the tunnel's own datagrams flushed", script: "ip route flush table \(way)",
            kind: "routes"),
        HostChange(
            testDescription: "the interface taken out of tunnels' group", script: "ip link set weft0 group default",
            kind: "interface"),
        HostChange(
            testDescription: "the interface down and up", script: "ip link set weft0 down; ip link set weft0 up",
            kind: "routes"),
        HostChange(testDescription: "the interface down", script: "ip link set weft0 down", kind: "interface"),
        HostChange(testDescription: "the interface renamed", script: "ip link set weft0 name other", kind: "interface"),
        HostChange(testDescription: "another MTU", script: "ip link set weft0 mtu 1300", kind: "interface"),
        HostChange(testDescription: "addresses flushed", script: "ip address flush dev weft0", kind: "addresses"),
        HostChange(
            testDescription: "IPv6 off and on",
            script: "sysctl -qw net.ipv6.conf.weft0.disable_ipv6=1; sysctl -qw net.ipv6.conf.weft0.disable_ipv6=0",
            kind: "addresses"),
        HostChange(testDescription: "nft flush ruleset", script: "nft flush ruleset", kind: "nftables"),
        HostChange(
            testDescription: "a rule of the guard's deleted", script: "nft flush chain inet weft-weft0 output",
            kind: "nftables"),
        HostChange(
            testDescription: "redirects on again", script: "sysctl -qw net.ipv4.conf.weft0.send_redirects=1",
            kind: "settings"),
    ]

    /// What takes an AF_XDP tunnel's interface away.
    static let removals = [
        HostChange(testDescription: "the interface removed", script: "ip link delete weft0", kind: "interface"),
        HostChange(testDescription: "its other end removed", script: "ip link delete weft0-x", kind: "interface"),
        HostChange(
            testDescription: "the interface taken into another network namespace",
            script: "unshare --net sleep 2 & sleep 0.3; ip link set weft0 netns $!", kind: "interface"),
        HostChange(
            testDescription: "the interface removed twice",
            script: "ip link delete weft0; sleep 1; ip link delete weft0",
            kind: "interface"),
    ]
}

extension Integration {
    @Suite("A host that changes")
    struct HostChanges {
        @Test(
            "What somebody removes or changes is put back, and nothing leaves in the clear", arguments: ["tun", "xdp"])
        func restores(driver: String) async throws {
            let world = try await World(driver: driver)
            let before = try await world.left.networkState()
            try await world.bringUp()
            for change in HostChange.all {
                let count = try await world.left.status().host.restored[change.kind]?.count ?? 0
                let clear = try await world.sending {
                    try await world.left.shell(change.script)
                    // Ten times a minute at once, then every ten seconds.
                    try await eventually("all to be put back after \(change)", within: 40) {
                        let isWhole = try await world.left.weft("check", "--live", "weft0").status == 0
                        let now = try await world.left.status().host.restored[change.kind]?.count ?? 0
                        return isWhole && now > count
                    }
                    for address in World.addresses { try await world.left.expectAnswer(from: address, within: 20) }
                }
                #expect(clear == 0, "\(change), by \(driver)")
            }
            let text = try await world.left.run(WeftCommand.path, "show", "weft0")
            #expect(text.contains("rules restored"), "\(text)")
            try await world.left.down()
            #expect(try await world.left.networkState() == before)
        }

        @Test("A TCP connection over IPv6 that sent while its route was missing goes on")
        func connection() async throws {
            let world = try await World(
                allowedIPs: "198.51.100.0/24, 2001:db8:99::/64", interface: ["Guard = on"])
            try await world.bringUp()
            let address = "2001:db8:99::1"
            let listener = try await world.right.inNetwork { try Socket.listening(at: address, port: 7000) }
            let client = try await world.left.inNetwork { try Socket.connected(SOCK_STREAM, to: address, port: 7000) }
            let server = try listener.accept()
            try client.send([1])
            #expect(try server.receiveSome(1) == [1])
            // Nothing may be under way: what is sent again by its timer looks for another way by itself.
            try await Task.sleep(for: .milliseconds(300))
            let process = try await world.left.process()
            // Who puts it back is stopped, so that the connection surely sends meanwhile.
            try await world.left.shell(
                """
                t=$(ip -6 rule | sed -n 's/.*not from .* lookup \\([0-9][0-9]*\\) suppress.*/\\1/p' | head -n 1)
                kill -STOP \(process); ip -6 route flush table $t
                """)
            try client.send([2])
            try await Task.sleep(for: .milliseconds(300))
            try await world.left.shell("kill -CONT \(process)")
            #expect(try server.receiveSome(1) == [2])
        }

        @Test("What others put there stays, and is told where it is in the way")
        func othersStay() async throws {
            let world = try await World(allowedIPs: "198.51.100.0/24, 2001:db8:99::/64")
            try await world.bringUp()
            try await world.left.shell(
                """
                ip rule add priority 100 fwmark 7 lookup main
                ip route add 10.99.0.0/16 via 192.0.2.2
                ip address add 10.98.0.1/32 dev weft0
                ip route replace 198.51.100.0/24 via 192.0.2.2
                """)
            try await eventually("a word about the route") {
                try await world.left.status().host.trouble.contains { $0.contains("198.51.100.0/24 is already routed") }
            }
            let live = try await world.left.weft("check", "--live", "weft0")
            #expect(live.status == 1 && live.standardError.contains("route 198.51.100.0/24 is missing"), "\(live)")
            try await world.left.run("ip", "route", "delete", "198.51.100.0/24", "via", "192.0.2.2")
            try await eventually("the route") { try await world.left.weft("check", "--live", "weft0").status == 0 }
            try await world.left.down()
            let rest = try await world.left.networkState()
            #expect(rest.contains("fwmark 0x7") && rest.contains("10.99.0.0/16"), "\(rest)")
        }

        @Test("An AF_XDP tunnel makes its interface anew, and keeps its sessions, keys and streams")
        func pairRemoved() async throws {
            let world = try await World(driver: "xdp")
            let before = try await world.left.networkState()
            try await world.bringUp()
            let first = try await world.left.status()
            for change in HostChange.removals {
                let count = try await world.left.status().host.restored["interface"]?.count ?? 0
                let clear = try await world.sending {
                    try await world.left.shell(change.script)
                    try await eventually("the interface after \(change)", within: 10) {
                        let isWhole = try await world.left.weft("check", "--live", "weft0").status == 0
                        let now = try await world.left.status().host.restored["interface"]?.count ?? 0
                        return isWhole && now > count
                    }
                    for address in World.addresses { try await world.left.expectAnswer(from: address, within: 20) }
                }
                #expect(clear == 0, "\(change)")
            }
            let last = try await world.left.status()
            #expect(last.processID == first.processID)
            #expect(last.control?.processID == first.control?.processID)
            #expect(last.peers[0].agreement?.count == first.peers[0].agreement?.count)
            #expect(last.peers[0].send?.spi == first.peers[0].send?.spi)
            #expect(last.refusedCalls.isEmpty, "\(last.refusedCalls)")
            expectFramesAccounted(last)
            try await world.left.down()
            #expect(try await world.left.networkState() == before)
        }

        @Test("An AF_XDP tunnel whose interface can't be made anew ends with an error, closed")
        func pairTaken() async throws {
            let world = try await World(driver: "xdp")
            try await world.right.up()
            let daemon = try world.left.start([WeftCommand.path, "up", "\(world.left.folder)/weft0.conf"])
            try await eventually("the tunnel") { try await world.left.weft("show", "weft0").status == 0 }
            for address in World.addresses { try await world.left.expectAnswer(from: address, within: 20) }
            let process = try await world.left.process()
            let clear = try await world.sending {
                // Somebody else's interface has the name before anybody could notice.
                try await world.left.shell(
                    "kill -STOP \(process); ip link delete weft0; ip link add weft0 type ifb; kill -CONT \(process)")
                // What waits for it has stopped with it.
                daemon.kill(SIGCONT)
                let output = try await daemon.wait()
                #expect(output.status == 1, "\(output)")
                #expect(output.standardError.contains("can't be made anew"), "\(output)")
            }
            #expect(clear == 0)
            #expect(try await world.left.run("ip", "-o", "link", "show", "weft0").contains("weft0"))
        }

        @Test("A tunnel whose interface is gone ends with an error, and leaves its guard closed")
        func interfaceRemoved() async throws {
            let world = try await World()
            try await world.right.up()
            let daemon = try world.left.start([WeftCommand.path, "up", "\(world.left.folder)/weft0.conf"])
            try await eventually("the tunnel") { try await world.left.weft("show", "weft0").status == 0 }
            for address in World.addresses { try await world.left.expectAnswer(from: address, within: 20) }
            let clear = try await world.sending {
                try await world.left.run("ip", "link", "delete", "weft0")
                let output = try await daemon.wait()
                #expect(output.status == 1, "\(output)")
                #expect(!output.standardError.contains("weft0: down"), "\(output)")
                try await Task.sleep(for: .milliseconds(500))
                try await world.left.up()
                for address in World.addresses { try await world.left.expectAnswer(from: address, within: 20) }
            }
            #expect(clear == 0)
        }
    }
}
