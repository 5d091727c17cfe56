// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing
import Weft

@testable import WeftNode
@testable import weft

extension Integration {
    @Suite("Segment sizes")
    struct SegmentSizes {
        /// Two ends of a tunnel, and a host behind the left one, at 10.90.0.9 and fd90::9. The left one's MTU is 1400, the right one's
        /// 1500.
        private func hosts(driver: String) async throws -> (tunnel: HostPair, behind: Host) {
            let hosts = try await HostPair()
            let behind = try await Host("behind")
            let cable = try await ChildProcess([
                "ip", "link", "add", "name", "lan", "netns", "\(hosts.left.processIdentifier)", "type", "veth",
                "peer", "name", "lan", "netns", "\(behind.processIdentifier)",
            ]).wait()
            guard cable.status == 0 else { throw TestFailure("\(cable)") }
            for (host, number) in [(hosts.left, 1), (behind, 9)] {
                try await host.shell(
                    """
                    ip link set lan up addrgenmode none
                    ip address add 10.90.0.\(number)/24 dev lan
                    ip address add fd90::\(number)/64 dev lan nodad
                    """)
            }
            try await behind.shell("ip route add default via 10.90.0.1; ip -6 route add default via fd90::1")
            // Nobody learns by ICMP what is too long.
            try await hosts.left.shell(
                """
                echo 1 >/proc/sys/net/ipv4/ip_forward
                echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
                nft -f - <<'END'
                table inet silent {
                    chain leaving {
                        type filter hook output priority 0
                        icmp type destination-unreachable drop
                        icmpv6 type packet-too-big drop
                    }
                }
                END
                """)
            var files = TunnelText.pair()
            let lines = ["Driver = \(driver)", "Underlay = underlay"]
            files.left.moreOfInterface = lines + ["LocalIPs = 10.77.0.0/24, fd77::/64, 10.90.0.0/24, fd90::/64"]
            files.right.moreOfInterface = lines
            files.right.mtu = 1500
            files.right.allowedIPs += ", 10.90.0.0/24, fd90::/64"
            try await hosts.bringUp(files)
            // With AF_XDP the overlay's router is known to the host once it has sent something of its own there.
            try await hosts.left.expectAnswer(from: "fd77::2")
            for address in ["10.77.0.2", "fd77::2"] { try await behind.expectAnswer(from: address) }
            return (hosts, behind)
        }

        /// Counts what arrives at a device and begins a connection, by the segment size that it says.
        private func watch(_ host: Host, _ device: String, v4: Int, v6: Int) async throws {
            try await host.shell(
                """
                nft -f - <<'END'
                table inet watch {
                    counter fitting { }
                    counter begun { }
                    chain arrivals {
                        type filter hook prerouting priority -400
                        iifname \(device) tcp flags & syn == syn counter name begun
                        iifname \(device) meta nfproto ipv4 tcp option maxseg size \(v4) counter name fitting
                        iifname \(device) meta nfproto ipv6 tcp option maxseg size \(v6) counter name fitting
                    }
                }
                END
                """)
        }

        private func counts(_ host: Host) async throws -> [String] {
            try await host.shell("nft list counters table inet watch")
                .matches(of: /packets (\d+)/).map { String($0.output.1) }
        }

        @Test(
            "A connection through the tunnel begins with segments that fit it, whatever links are behind its ends, in both directions",
            arguments: ["tun", "xdp"])
        func bothWays(driver: String) async throws {
            let (hosts, behind) = try await hosts(driver: driver)
            // What the host behind says, 1460 and 1440, is lowered on its way out; what the right end says, as much, on its way in.
            try await watch(hosts.right, "weft0", v4: 1360, v6: 1340)
            try await watch(behind, "lan", v4: 1360, v6: 1340)
            let payload = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 13) }
            for address in ["10.77.0.2", "fd77::2"] {
                #expect(try await behind.echo(payload, by: hosts.right, at: address) == payload, "\(address)")
            }
            #expect(try await counts(hosts.right) == ["2", "2"])
            #expect(try await counts(behind) == ["2", "2"])
        }

        @Test("Where a path takes less than the tunnel, connections begin with what passes")
        func path() async throws {
            let hosts = try await HostPair()
            for host in [hosts.left, hosts.right] { try await host.run("ip", "link", "set", "underlay", "mtu", "1300") }
            try await hosts.bringUpAgreeing()
            try await eventually("what passes", within: 20) {
                _ = try await hosts.left.pings("10.77.0.2", patience: "0.1")
                _ = try await hosts.right.pings("10.77.0.1", patience: "0.1")
                for host in [hosts.left, hosts.right] {
                    guard let mtu = try await host.status().peers[0].path?.mtu, mtu > 1200 else { return false }
                }
                return true
            }
            try await watch(hosts.right, "weft0", v4: 1360, v6: 1340)
            try await hosts.right.shell(
                "nft add rule inet watch arrivals tcp option maxseg size lt 1200 counter name fitting")
            let payload = [UInt8](repeating: 7, count: 100_000)
            #expect(try await hosts.left.echo(payload, by: hosts.right, at: "10.77.0.2") == payload)
            #expect(try await counts(hosts.right) == ["1", "1"])
        }
    }
}
