// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import weft

extension Integration {
    @Suite("The guard")
    struct Guards {
        private static let rules = HostChange.all[0].script + "\nip -4 rule show; ip -6 rule show"

        @Test(
            "Either lock holds by itself, while nobody is there to put the other back",
            arguments: [rules, "nft flush ruleset"])
        func oneLock(script: String) async throws {
            let world = try await World()
            try await world.bringUp()
            let process = try await world.left.process()
            let clear = try await world.sending {
                try await world.left.shell("kill -STOP \(process)\n\(script)")
                try await Task.sleep(for: .seconds(1))
                try await world.left.shell("kill -CONT \(process)")
                for address in World.addresses { try await world.left.expectAnswer(from: address) }
            }
            #expect(clear == 0)
        }

        @Test("Both at once are closed again at once")
        func bothLocks() async throws {
            let world = try await World()
            try await world.bringUp()
            var last = Duration.zero
            let leaked = try await world.sending {
                let clock = ContinuousClock()
                let start = clock.now
                var count = try await world.inTheClear()
                try await world.left.shell("nft flush ruleset\n\(Self.rules)")
                while clock.now - start < .seconds(6) {
                    let now = try await world.inTheClear()
                    if now > count { (count, last) = (now, clock.now - start) }
                    try await Task.sleep(for: .milliseconds(20))
                }
            }
            print("both locks deleted under traffic: \(leaked) packets in the clear, the last seen after \(last)")
            // Within a second, where the machine isn't busy with others.
            #expect(last < .seconds(5))
            try await eventually("both locks", within: 10) {
                try await world.left.weft("check", "--live", "weft0").status == 0
            }
            let clear = try await world.sending { try await Task.sleep(for: .milliseconds(500)) }
            #expect(clear == 0)
        }

        @Test(
            "After a crash it stays closed, until the next start or until somebody opens it", arguments: ["tun", "xdp"])
        func crash(driver: String) async throws {
            let world = try await World(driver: driver)
            let before = try await world.left.networkState()
            try await world.bringUp()
            let clear = try await world.sending {
                try await world.left.crash()
                try await Task.sleep(for: .milliseconds(500))
                // One that fails leaves it closed.
                try await world.left.shell(
                    "cp weft0.conf good.conf; echo 'MTU = 14' >>weft0.conf".inFolder(of: world.left))
                #expect(try await world.left.weft("up", "\(world.left.folder)/weft0.conf").status == 1)
                try await Task.sleep(for: .milliseconds(200))
                try await world.left.shell("mv good.conf weft0.conf".inFolder(of: world.left))
                try await world.left.up()
                for address in World.addresses { try await world.left.expectAnswer(from: address) }
                try await world.left.crash()
                try await Task.sleep(for: .milliseconds(200))
            }
            #expect(clear == 0)
            let opened = try await world.left.weft("down", "weft0")
            #expect(opened.status == 0 && opened.standardOutput.contains("is open"), "\(opened)")
            #expect(try await world.left.weft("down", "weft0").status == 3)
            #expect(try await world.sending { try await Task.sleep(for: .milliseconds(300)) } > 0)
            if driver == "tun" { #expect(try await world.left.networkState() == before) }
        }

        @Test("A restart leaves it closed, and what follows opens it", arguments: ["tun", "xdp"])
        func restart(driver: String) async throws {
            let world = try await World(driver: driver)
            let before = try await world.left.networkState()
            try await world.bringUp()
            let clear = try await world.sending {
                // As a person restarts it, and as systemd does.
                for isByHand in [true, false] {
                    let process = try await world.left.process()
                    try await world.left.shell(
                        isByHand ? "'\(WeftCommand.path)' down --keep-guard weft0" : "kill -USR1 \(process)")
                    try await eventually("the end") { try await world.left.weft("show", "weft0").status == 3 }
                    try await Task.sleep(for: .milliseconds(500))
                    try await world.left.up()
                    for address in World.addresses { try await world.left.expectAnswer(from: address) }
                }
                #expect(try await world.left.weft("down", "--keep-guard", "weft0").status == 0)
            }
            #expect(clear == 0)
            #expect(try await world.left.weft("down", "weft0").status == 0)
            #expect(try await world.left.networkState() == before)
        }

        @Test("A restart of one that guards nothing leaves nothing behind")
        func restartUnguarded() async throws {
            let world = try await World(interface: ["Guard = off"])
            let before = try await world.left.networkState()
            try await world.bringUp()
            try await world.left.run(WeftCommand.path, "down", "--keep-guard", "weft0")
            #expect(try await world.left.networkState() == before)
            #expect(try await world.left.weft("down", "--keep-guard", "weft0").status == 3)
        }

        @Test("Guard = off leaves the way open, and Guard = on closes one that isn't a default route")
        func choice() async throws {
            let open = try await World(interface: ["Guard = off"])
            try await open.bringUp()
            #expect(try await !open.left.run("nft", "list", "tables").contains("weft-weft0"))
            try await open.left.crash()
            #expect(try await open.sending { try await Task.sleep(for: .milliseconds(300)) } > 0)

            let closed = try await World(
                allowedIPs: "198.51.100.0/24, 2001:db8:99::/64", interface: ["Guard = on"])
            try await closed.bringUp()
            let clear = try await closed.sending {
                try await closed.left.crash()
                try await Task.sleep(for: .milliseconds(300))
            }
            #expect(clear == 0)
            #expect(try await closed.left.pings("192.0.2.2"))
        }

        @Test("What main routes by a longer prefix, or the host's own earlier rules lead elsewhere, may leave")
        func exempt() async throws {
            let world = try await World()
            try await world.left.shell(
                "ip route add 203.0.113.0/24 via 192.0.2.2; ip rule add priority 90 fwmark 9 lookup 90")
            try await world.left.shell("ip route add default via 192.0.2.2 table 90")
            try await world.right.shell("ip address add 203.0.113.9/32 dev lo; ip address add 203.0.114.9/32 dev lo")
            try await world.bringUp()
            #expect(try await world.left.pings("203.0.113.9"))
            let clear = try await world.sending {
                let isAnswered = try await world.left.pings("198.51.100.1", "-m", "9")
                #expect(isAnswered)
            }
            #expect(clear == 1)
            // A route that comes later, too.
            try await world.left.run("ip", "route", "add", "203.0.114.0/24", "via", "192.0.2.2")
            try await world.left.expectAnswer(from: "203.0.114.9")
        }

        @Test("IPv6 that the interface can't carry goes nowhere")
        func withoutIPv6() async throws {
            let world = try await World()
            try await world.bringUp()
            let clear = try await world.sending {
                try await world.left.shell("sysctl -qw net.ipv6.conf.weft0.disable_ipv6=1")
                try await eventually("a word about IPv6") {
                    try await world.left.status().host.trouble.contains { $0.hasPrefix("IPv6 is off on weft0") }
                }
                try await Task.sleep(for: .milliseconds(300))
                #expect(try await !world.left.pings("2001:db8:99::1"))
                #expect(try await world.left.pings("198.51.100.1"))
            }
            #expect(clear == 0)
        }

        @Test("A reload closes nothing and opens nothing beside many routes")
        func reload() async throws {
            let world = try await World()
            try await world.left.shell(
                "for i in $(seq 0 15); do for j in $(seq 0 254); do echo route add 10.$i.$j.0/24 via 192.0.2.2; done; done | ip -batch -"
            )
            try await world.bringUp()
            let clear = try await world.sending {
                for seconds in [21, 22, 23] {
                    try await world.left.shell(
                        "sed -i '/^PersistentKeepalive/d' weft0.conf; echo PersistentKeepalive = \(seconds) >>weft0.conf"
                            .inFolder(of: world.left))
                    #expect(try await world.left.weft("reload", "weft0").status == 0)
                }
            }
            #expect(clear == 0)
            let host = try await world.left.status().host
            #expect(host.restored.isEmpty, "\(host)")
        }

        @Test("A strict reverse path filter lets answers in, and is as before afterwards")
        func reversePathFilter() async throws {
            let world = try await World()
            // The peer is reached by the default route alone.
            try await world.left.shell(
                """
                sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.underlay.rp_filter=1
                ip address flush dev underlay scope global
                ip address add 192.0.2.1/32 dev underlay; ip address add fd00::1/64 dev underlay nodad
                ip route add default dev underlay src 192.0.2.1; ip -6 route replace default via fd00::2
                """)
            let before = try await world.left.networkState()
            try await world.bringUp()
            try await world.left.down()
            #expect(try await world.left.networkState() == before)
        }
    }
}

extension String {
    /// The script, in a host's folder.
    func inFolder(of host: Host) -> String { "cd '\(host.folder)' && { \(self); }" }
}
