// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import WeftNode
@testable import weft

extension Integration {
    @Suite("Routes")
    struct Routing {
        /// A tunnel whose right end is reached over a router only, and stands for the whole world.
        private func makeTunnel(
            allowedIPs: String, localIPs: String, endpoint: String = "203.0.113.9:6081"
        ) async throws -> HostPair {
            let hosts = try await HostPair()
            try await hosts.left.shell(
                """
                ip route add default via 192.0.2.2
                ip -6 route add default via fd00::2
                """)
            try await hosts.right.shell(
                """
                ip address add 203.0.113.9/32 dev lo
                ip address add 2001:db8:9::9/128 dev lo nodad
                ip address add 198.51.100.1/32 dev lo
                ip address add 2001:db8:99::1/128 dev lo nodad
                """)
            var files = TunnelText.pair()
            files.left.endpoint = endpoint
            files.left.allowedIPs = allowedIPs
            files.right.moreOfInterface = ["LocalIPs = \(localIPs)"]
            try hosts.left.write(files.left)
            try hosts.right.write(files.right)
            return hosts
        }

        /// Brings both ends up, checks that `addresses` answer through the tunnel and that nothing runs in circles,
        /// and takes the left end down.
        private func check(_ hosts: HostPair, answering addresses: [String]) async throws {
            let before = try await hosts.left.networkState()
            try await hosts.right.up()
            try await hosts.left.up()
            for address in addresses { try await hosts.left.expectAnswer(from: address) }
            let begin = try await hosts.left.status()
            for address in addresses {
                for _ in 0..<5 { #expect(try await hosts.left.pings(address)) }
            }
            let end = try await hosts.left.status()
            // A datagram that went into the tunnel again would be counted again, and again.
            #expect(end.totals.fromOverlay - begin.totals.fromOverlay == UInt64(5 * addresses.count))
            // Probes are counted with keep-alives.
            let answers = [begin, end].map { $0.totals.rx.packets - $0.totals.rx.keepAlives }
            #expect(answers[1] - answers[0] == UInt64(5 * addresses.count))
            let payload = [UInt8](repeating: 1, count: 1_000_000)
            #expect(try await hosts.left.echo(payload, by: hosts.right, at: addresses[0]) == payload)
            try await hosts.left.down()
            #expect(try await hosts.left.networkState() == before)
        }

        @Test(
            "A default route through the tunnel leaves the underlay alone, and down restores everything",
            arguments: ["203.0.113.9:6081", "[2001:db8:9::9]:6081"])
        func defaultRoute(_ endpoint: String) async throws {
            let hosts = try await makeTunnel(
                allowedIPs: "0.0.0.0/0, ::/0", localIPs: "0.0.0.0/0, ::/0", endpoint: endpoint)
            try await check(hosts, answering: ["198.51.100.1", "2001:db8:99::1", "10.77.0.2", "fd77::2"])
        }

        @Test("AllowedIPs may cover the peer's endpoint")
        func coveredEndpoint() async throws {
            let hosts = try await makeTunnel(
                allowedIPs: "203.0.113.0/24, 10.77.0.2/32", localIPs: "203.0.113.0/24, 10.77.0.0/24, fd77::/64")
            try await check(hosts, answering: ["203.0.113.9", "10.77.0.2"])
        }

        @Test("A crash with a default route is mended by the next start")
        func crash() async throws {
            let hosts = try await makeTunnel(allowedIPs: "0.0.0.0/0, ::/0", localIPs: "0.0.0.0/0, ::/0")
            let before = try await hosts.left.networkState()
            try await hosts.right.up()
            try await hosts.left.up()
            try await hosts.left.expectAnswer(from: "198.51.100.1")
            let during = try await hosts.left.networkState()
            try await hosts.left.crash()
            try await hosts.left.up()
            try await hosts.left.expectAnswer(from: "198.51.100.1")
            expectSame(try await hosts.left.networkState(), during)
            try await hosts.left.down()
            #expect(try await hosts.left.networkState() == before)
        }

        @Test("Table = off makes no routes, and a table of one's own takes them")
        func tables() async throws {
            let hosts = try await HostPair()
            var file = TunnelText.pair().left
            file.allowedIPs = "10.80.0.0/16"
            file.moreOfInterface = ["Table = off"]
            try hosts.left.write(file)
            try await hosts.left.up()
            #expect(try await !hosts.left.networkState().contains("10.80.0.0/16"))
            try await hosts.left.down()
            file.moreOfInterface = ["Table = 4242"]
            try hosts.left.write(file)
            let before = try await hosts.left.networkState()
            try await hosts.left.up()
            #expect(try await hosts.left.run("ip", "route", "show", "table", "4242").contains("10.80.0.0/16 dev weft0"))
            #expect(try await !hosts.left.run("ip", "route", "show").contains("10.80.0.0/16"))
            try await hosts.left.down()
            #expect(try await hosts.left.networkState() == before)
        }

        @Test("Another's route to the same prefix is an error that names it, and stays")
        func conflict() async throws {
            let hosts = try await HostPair()
            try await hosts.left.run("ip", "route", "add", "10.77.0.2/32", "via", "192.0.2.2", "proto", "static")
            let before = try await hosts.left.networkState()
            let file = try hosts.left.write(TunnelText.pair().left)
            let output = try await hosts.left.weft("up", "--detach", file)
            #expect(output.status == 1, "\(output)")
            #expect(output.standardError.contains("10.77.0.2/32"), "\(output)")
            #expect(output.standardError.contains("underlay"), "\(output)")
            #expect(try await hosts.left.networkState() == before)
        }
    }
}
