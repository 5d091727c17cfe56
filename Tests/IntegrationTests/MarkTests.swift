// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing
import Weft

@testable import WeftNode
@testable import weft

/// Two hosts with a bridge between, which counts what goes from left to right on the tunnels' port, and marks it.
private struct MarkedWire: Sendable {
    let hosts: HostPair
    private let bridge: Host
    /// nft's word for the underlay's family.
    private let family: String

    /// - Parameter family: of the underlay, as nft calls it.
    init(_ family: String) async throws {
        self.family = family
        hosts = try await HostPair()
        bridge = try await Host("bridge")
        try await bridge.shell("ip link add bridge type bridge && ip link set bridge up")
        try await hosts.left.run("ip", "link", "delete", "underlay")
        for (number, host) in [hosts.left, hosts.right].enumerated() {
            let cable = try await ChildProcess([
                "ip", "link", "add", "name", "underlay", "netns", "\(host.processIdentifier)", "type", "veth",
                "peer", "name", "port\(number)", "netns", "\(bridge.processIdentifier)",
            ]).wait()
            guard cable.status == 0 else { throw TestFailure("\(cable)") }
            try await bridge.run("ip", "link", "set", "port\(number)", "master", "bridge", "up")
            try await host.shell(
                """
                ip link set underlay up addrgenmode none
                ip address add 192.0.2.\(number + 1)/30 dev underlay
                ip address add fd00::\(number + 1)/64 dev underlay nodad
                """)
        }
        try await bridge.shell(
            """
            nft -f - <<'END'
            table bridge watch {
                counter ect { }
                counter ef { }
                chain congestion { }
                chain pass {
                    type filter hook forward priority 0
                    iifname port0 udp dport 6081 \(family) ecn ect0 counter name ect
                    iifname port0 udp dport 6081 \(family) dscp ef counter name ef
                    iifname port0 udp dport 6081 jump congestion
                }
            }
            END
            """)
        try await hosts.right.shell(
            """
            nft -f - <<'END'
            table inet watch {
                counter ect { }
                counter ce { }
                chain arrivals {
                    type filter hook prerouting priority -400
                    iifname weft0 ip ecn ect0 counter name ect
                    iifname weft0 ip6 ecn ect0 counter name ect
                    iifname weft0 ip ecn ce counter name ce
                    iifname weft0 ip6 ecn ce counter name ce
                }
            }
            END
            """)
    }

    /// Is congested from now on: marks what may be marked, or whatever it is.
    func congest(all: Bool = false) async throws {
        try await bridge.shell(
            """
            nft flush chain bridge watch congestion
            nft add rule bridge watch congestion \(all ? "" : "\(family) ecn ect0") \(family) ecn set ce
            """)
    }

    /// What was counted so far: outside what bears ECT(0) and expedited forwarding, inside what bears ECT(0) and CE.
    func counts() async throws -> (ect: Int, ef: Int, insideECT: Int, insideCE: Int) {
        func count(_ host: Host, _ table: String, _ name: String) async throws -> Int {
            let text = try await host.shell("nft list counter \(table) watch \(name)")
            guard let match = text.firstMatch(of: /packets (\d+)/), let count = Int(match.output.1) else {
                throw TestFailure(text)
            }
            return count
        }
        return try await (
            count(bridge, "bridge", "ect"), count(bridge, "bridge", "ef"), count(hosts.right, "inet", "ect"),
            count(hosts.right, "inet", "ce")
        )
    }

    /// How many of five pings of each inner family are answered.
    func ping(trafficClass: Int) async throws -> Int {
        var answers = 0
        for address in ["10.77.0.2", "fd77::2"] {
            let output = try await hosts.left.attempt([
                "ping", "-n", "-q", "-c", "5", "-i", "0.1", "-W", "1", "-Q", "\(trafficClass)", address,
            ])
            let match = output.standardOutput.firstMatch(of: /(\d+) received/)
            answers += match.flatMap { Int($0.output.1) } ?? 0
        }
        return answers
    }

    /// Brings up ends that agree on keys.
    func bringUp(driver: String, _ lines: [String] = []) async throws {
        let (leftKey, rightKey) = (try await hosts.left.makeIdentity(), try await hosts.right.makeIdentity())
        for (host, number, key) in [(hosts.left, 1, rightKey), (hosts.right, 2, leftKey)] {
            var file = AgreeingText(number, peerKey: key)
            file.endpoint = family == "ip" ? "192.0.2.\(3 - number):6081" : "[fd00::\(3 - number)]:6081"
            file.moreOfInterface = ["Driver = \(driver)", "Underlay = underlay"] + lines
            try host.write(file.text)
            try await host.up()
        }
        for address in ["10.77.0.2", "fd77::2"] { try await hosts.left.expectAnswer(from: address, within: 20) }
        try await eventually("both ends' marks") {
            for host in [hosts.left, hosts.right] where try await host.status().peers[0].ecn != "normal" {
                return false
            }
            return true
        }
    }
}

extension Integration {
    @Suite("Marks of congestion")
    struct Marks {
        @Test(
            "What may be marked is markable outside, what is marked outside arrives marked, and what knows no marks is lost",
            arguments: ["tun", "xdp"], ["ip", "ip6"])
        func marks(driver: String, family: String) async throws {
            let wire = try await MarkedWire(family)
            try await wire.bringUp(driver: driver)
            #expect(try await wire.ping(trafficClass: 0) == 10)
            #expect(try await wire.counts() == (0, 0, 0, 0))
            // Without CopyDSCP the underlay sees none.
            #expect(try await wire.ping(trafficClass: 0xB8 | 2) == 10)
            #expect(try await wire.counts() == (10, 0, 10, 0))
            try await wire.congest()
            #expect(try await wire.ping(trafficClass: 2) == 10)
            #expect(try await wire.counts() == (20, 0, 10, 10))

            // TCP hears of it, in superpackets, too, and slows down instead of losing.
            for host in [wire.hosts.left, wire.hosts.right] {
                try await host.shell("echo 1 >/proc/sys/net/ipv4/tcp_ecn")
            }
            let payload = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 13) }
            for address in ["10.77.0.2", "fd77::2"] {
                #expect(try await wire.hosts.left.echo(payload, by: wire.hosts.right, at: address) == payload)
            }
            let delivered = try await wire.hosts.left.shell("nstat -a -s -z TcpExtTCPDeliveredCE | tail -n 1")
            #expect(delivered.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0 > 10)

            try await wire.congest(all: true)
            let before = try await wire.hosts.right.status()
            #expect(try await wire.ping(trafficClass: 0) == 0)
            #expect(try await wire.ping(trafficClass: 2) == 10)
            let after = try await wire.hosts.right.status()
            #expect(after.drops(.ceOnNotECT) >= before.drops(.ceOnNotECT) + 10)
            expectBalance(after)
        }

        @Test("CopyDSCP gives the underlay the packets' DSCP", arguments: ["tun", "xdp"], ["ip", "ip6"])
        func dscp(driver: String, family: String) async throws {
            let wire = try await MarkedWire(family)
            try await wire.bringUp(driver: driver, ["CopyDSCP = on"])
            let before = try await wire.counts().ef
            #expect(try await wire.ping(trafficClass: 0xB8) == 10)
            #expect(try await wire.ping(trafficClass: 0x28) == 10)
            #expect(try await wire.counts().ef == before + 10)
        }

        @Test("Where nobody agreed on it nothing is markable outside, and what is marked arrives nevertheless")
        func compatibility() async throws {
            let wire = try await MarkedWire("ip")
            try await wire.hosts.bringUp()
            #expect(try await wire.ping(trafficClass: 2) == 10)
            #expect(try await wire.counts() == (0, 0, 10, 0))
            try await wire.congest(all: true)
            #expect(try await wire.ping(trafficClass: 2) == 10)
            #expect(try await wire.counts() == (0, 0, 10, 10))
        }
    }
}
