// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    @Suite("Tunnel map and its underlay")
    struct TunnelMapUnderlays {
        @Test("What is too long for the underlay is answered", arguments: [false, true])
        func tooLong(overIPv6: Bool) async throws {
            let net = try await MapHosts(count: 2)
            for number in 1...2 { try net.file(of: number, "geneve-direct", v6: overIPv6) }
            let agents = [try await net.run(1), try await net.run(2)]
            let host = net.hosts[0]
            try await host.expectAnswer(from: "10.1.2.1")
            // The overlay promises more than the underlay holds: 1,500 less 50 or 70.
            try await host.shell("ip link set overlay mtu 1500")
            try await net.hosts[1].shell("ip link set overlay mtu 1500")
            let room = overIPv6 ? 1430 : 1450
            let output = try await host.attempt(
                ["ping", "-n", "-c", "1", "-W", "1", "-M", "do", "-s", "\(room - 28 + 1)", "10.1.2.1"])
            #expect(output.standardOutput.contains("Frag needed"), "\(output)")
            let route = try await host.run("ip", "route", "get", "10.1.2.1")
            #expect(route.contains("mtu \(room)"), "\(route)")
            #expect(try await host.pings("10.1.2.1", "-M", "do", "-s", "\(room - 28)"))
            let long = try await host.attempt(
                ["ping", "-n", "-c", "1", "-W", "1", "-M", "do", "-s", "\(room - 48 + 1)", "fd01:2::1"])
            #expect(long.standardOutput.contains("Packet too big: mtu=\(room)"), "\(long)")
            #expect(try await host.pings("fd01:2::1", "-M", "do", "-s", "\(room - 48)"))
            // A stream finds its way from its first superpacket on.
            try await host.shell("ip route flush cache; ip -6 route flush cache")
            let payload = (0..<500_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            for (number, address) in ["10.1.2.1", "fd01:2::1"].enumerated() {
                #expect(
                    try await host.echo(payload, by: net.hosts[1], at: address, port: 7010 + number) == payload)
            }
            let outcomes = try await host.mapStatus().outcomes
            #expect(outcomes["tooLong"].map { $0.packets >= 2 } == true && outcomes["failed"]?.packets == 0)
            withExtendedLifetime(agents) {}
        }

        @Test("A member lets others' Geneve pass it")
        func transit() async throws {
            // Of three on one wire, the second routes between the first and the third.
            let net = try await MapHosts(count: 3)
            for number in 1...3 { try net.file(of: number, "geneve-direct") }
            let agents = [try await net.run(1), try await net.run(2), try await net.run(3)]
            try await net.hosts[1].shell(
                "sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.underlay.send_redirects=0"
            )
            try await net.hosts[0].shell("ip route add 192.0.2.3/32 via 192.0.2.2")
            try await net.hosts[2].shell("ip route add 192.0.2.1/32 via 192.0.2.2")
            let before = try await net.hosts[1].mapStatus().outcomes["decapsulated"]?.packets
            try await net.hosts[0].expectAnswer(from: "10.1.3.1")
            for _ in 0..<5 { #expect(try await net.hosts[0].pings("10.1.3.1")) }
            #expect(try await net.hosts[1].mapStatus().outcomes["decapsulated"]?.packets == before)
            let forwarded = try await net.hosts[1].shell("nstat -asz IpForwDatagrams | awk '/IpForw/ { print $2 }'")
            #expect(
                Int(forwarded.trimmingCharacters(in: .whitespacesAndNewlines)).map { $0 >= 10 } == true, "\(forwarded)")
            withExtendedLifetime(agents) {}
        }

        @Test("down ends a running agent first")
        func down() async throws {
            let net = try await MapHosts(count: 1)
            try net.file(of: 1)
            let agent = try await net.run(1)
            #expect(try await net.hosts[0].weft("tunnel-map", "down", MapHosts.map).status == 0)
            try await eventually("the agent's end") { agent.hasEnded }
            #expect(agent.output.standardError.contains("stopped"))
            #expect(try await net.hosts[0].weft("tunnel-map", "show", MapHosts.map).status == 3)
        }

        @Test("Only the agent's own probes pass by health")
        func foreignProbes() async throws {
            let net = try await MapHosts(count: 2)
            try net.file(of: 1, isProbed: true)
            let agent = try await net.run(1)
            let host = net.hosts[0]
            // Nobody answers there: the peer is dead, and what anyone sends to the probes' port goes nowhere.
            let before = try await host.mapStatus().outcomes
            for _ in 0..<3 { _ = try await host.attempt(["bash", "-c", "echo x >/dev/udp/10.1.2.1/9997"]) }
            let after = try await host.mapStatus().outcomes
            #expect(
                after["unhealthyDropped"]?.packets ?? 0 >= (before["unhealthyDropped"]?.packets ?? 0) + 1, "\(after)")
            #expect(after["probe"]?.packets == before["probe"]?.packets)
            withExtendedLifetime(agent) {}
        }
    }
}
