// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

@testable import WeftNode
@testable import weft

extension Integration {
    /// Two tunnels between two hosts: `weft1`, whose other end has an address within the overlay of `weft0`.
    @Suite("Several tunnels")
    struct SeveralTunnels {
        struct Way: Sendable, CustomTestStringConvertible {
            let driver: String
            let isFull: Bool
            let isV6: Bool

            static let all = ["tun", "xdp"].flatMap { driver in
                [false, true].flatMap { isFull in
                    [false, true].map { Way(driver: driver, isFull: isFull, isV6: $0) }
                }
            }

            var testDescription: String { "\(driver) \(isFull ? "full" : "split") IPv\(isV6 ? 6 : 4)" }
        }

        /// Brings `weft0` up and writes both files of `weft1`.
        private func world(_ way: Way, through: Bool) async throws -> World {
            let world = try await World(
                allowedIPs: way.isFull ? "0.0.0.0/0, ::/0" : "10.77.0.2/32, fd77::2/128", driver: way.driver)
            try await world.right.shell(
                """
                nft -f - <<'END'
                table inet inner {
                    chain arrivals {
                        type filter hook prerouting priority -400
                        udp dport 6082 iifname weft0 counter
                        udp dport 6082 iifname != weft0 counter
                    }
                }
                END
                """)
            var files = TunnelText.pair(network: 88)
            files.left.endpoint = way.isV6 ? "[fd77::2]:6082" : "10.77.0.2:6082"
            let answers = through ? ["10.77.0.1", "fd77::1"] : ["192.0.2.1", "fd00::1"]
            files.right.endpoint = way.isV6 ? "[\(answers[1])]:6082" : "\(answers[0]):6082"
            (files.left.listenPort, files.right.listenPort) = (6082, 6082)
            (files.left.mtu, files.right.mtu) = (1280, 1280)
            if through {
                files.left.moreOfInterface = ["Through = weft0"]
                files.right.moreOfInterface = ["Through = weft0"]
            }
            try world.left.write(files.left, to: "weft1.conf")
            try world.right.write(files.right, to: "weft1.conf")
            try await world.bringUp()
            return world
        }

        /// Datagrams of `weft1` that came to its other end through `weft0`, and past it.
        private func arrivals(_ world: World) async throws -> (through: Int, past: Int) {
            let counts = try await world.right.shell("nft list table inet inner")
                .matches(of: /counter packets (\d+)/).compactMap { Int($0.output.1) }
            return (counts[0], counts[1])
        }

        @Test("No tunnel's own datagrams go into another one", arguments: Way.all)
        func past(way: Way) async throws {
            let world = try await world(way, through: false)
            try await world.right.up("weft1")
            try await world.left.up("weft1")
            try await world.left.expectAnswer(from: "10.88.0.2", within: 10)
            // It comes and goes, and what others have in main changes.
            let sender = try world.left.start(["ping", "-n", "-i", "0.02", "10.88.0.2"])
            try await world.left.down()
            try await world.left.shell(
                "ip route replace default via 192.0.2.2 metric 5; ip route add 10.64.0.0/10 via 192.0.2.2")
            try await world.left.up()
            try await world.left.expectAnswer(from: "10.77.0.2", within: 20)
            try await world.left.shell("ip route delete default via 192.0.2.2 metric 5; ip route delete 10.64.0.0/10")
            try await world.left.expectAnswer(from: "10.88.0.2", within: 10)
            sender.kill(SIGKILL)
            let arrivals = try await arrivals(world)
            #expect(arrivals.through == 0 && arrivals.past > 0, "\(way): \(arrivals)")
            try await world.left.down("weft1")
            try await world.left.down()
        }

        @Test("Where the file says Through they go there and nowhere else", arguments: Way.all)
        func through(way: Way) async throws {
            let world = try await world(way, through: true)
            let before = try await world.left.networkState()
            try await world.right.up("weft1")
            try await world.left.up("weft1")
            try await world.left.expectAnswer(from: "10.88.0.2", within: 10)
            #expect(try await world.left.status("weft1").interface.through == "weft0")
            try await world.left.down("weft1")
            // The other tunnel's copies of main's routes go once it has heard of it.
            try await eventually("the host to be as it was") {
                stable(try await world.left.networkState()) == stable(before)
            }
            try await world.left.up("weft1")

            try await world.left.down()
            try await eventually("a word about it") {
                try await world.left.status("weft1").host.trouble.contains { $0.contains("weft0 isn't up") }
            }
            #expect(try await !world.left.pings("10.88.0.2", patience: "0.3"))
            try await world.left.up()
            try await world.left.expectAnswer(from: "10.88.0.2", within: 20)
            let arrivals = try await arrivals(world)
            #expect(arrivals.past == 0 && arrivals.through > 0, "\(way): \(arrivals)")

            // Now it could only be a loop.
            try await world.left.down()
            try await world.left.shell(
                "sed -i 's/^Driver.*/Driver = tun\\nThrough = weft1/' '\(world.left.folder)/weft0.conf'")
            let output = try await world.left.weft("up", "\(world.left.folder)/weft0.conf")
            #expect(output.status == 1 && output.standardError.contains("weft0 goes through weft1"), "\(output)")
        }

        @Test("What can't work is refused, and says what helps")
        func refusals() async throws {
            let world = try await world(Way(driver: "tun", isFull: false, isV6: false), through: true)
            func refusal(_ change: String, _ words: String, verb: String = "up") async throws {
                let path = "\(world.left.folder)/weft2.conf"
                try await world.left.shell(
                    "sed -e '/^Address/s/88/89/' -e 's/^ListenPort.*/ListenPort = 6083/' -e '\(change)' '\(world.left.folder)/weft1.conf' >\(path) && chmod 600 \(path)"
                )
                let output = try await world.left.weft(verb, path)
                #expect(output.status == 1 && output.standardError.contains(words), "\(change): \(output)")
            }
            try await refusal("s/^Through.*/Through = weft9/", "no tunnel weft9 is up: bring it up first")
            // An interface that isn't a tunnel's.
            try await refusal("s/^Through.*/Through = underlay/", "no tunnel underlay is up")
            try await refusal(
                "s/^Endpoint.*/Endpoint = 203.0.113.1:6082/", "carries nothing to the endpoint 203.0.113.1")
            try await refusal("s/^Through.*/&\\nTable = 100/", "Through: needs Table = auto", verb: "check")
            try await refusal(
                "s/^Through.*/&\\nDriver = xdp/", "Through: AF_XDP sends by an Ethernet device", verb: "check")
            try await refusal("s/^Through.*/Through = two words/", "the name of another tunnel", verb: "check")
            try await refusal("s/^Through.*/Through = weft2/", "weft2 goes through weft2", verb: "check")
            try await world.left.shell(
                "cd '\(world.left.folder)' && sed 's/^Through.*/Through = weft2/' weft1.conf >weft3.conf && chmod 600 weft3.conf"
            )
            try await refusal(
                "s/^Through.*/Through = weft3/", "weft2 goes through weft3 goes through weft2", verb: "check")

            try await world.right.up("weft1")
            try await world.left.up("weft1")
            try await world.left.expectAnswer(from: "10.88.0.2", within: 10)
            try await world.left.shell("sed -i '/^Through/d' '\(world.left.folder)/weft1.conf'")
            let reload = try await world.left.weft("reload", "weft1")
            #expect(
                reload.status == 1 && reload.standardError.contains("Through in [Interface] is another"), "\(reload)")
        }

        @Test("An endpoint that another tunnel carries is told, with what sends it there")
        func hint() async throws {
            let world = try await world(Way(driver: "tun", isFull: false, isV6: false), through: false)
            let tunnel = try world.left.start([WeftCommand.path, "up", "\(world.left.folder)/weft1.conf"])
            try await eventually("the tunnel") { tunnel.output.standardError.contains("up on UDP port") }
            #expect(tunnel.output.standardError.contains("say Through = weft0"), "\(tunnel.output)")
            try await world.left.down("weft1")
        }
    }
}
