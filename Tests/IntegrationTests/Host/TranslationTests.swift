// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import WeftNode
@testable import weft

extension Integration {
    /// A router between a host and its peers, which translates addresses.
    @Suite("Translated addresses")
    struct Translations {
        /// A host, a router that is a peer of its own, and a peer behind it that has no way to the host but by translation.
        private struct Net {
            let client: Host
            let router: Host
            let server: Host

            init(driver: String, isIPv6: Bool) async throws {
                client = try await Host("client")
                router = try await Host("router")
                server = try await Host("server")
                let link = try await ChildProcess([
                    "sh", "-c",
                    """
                    set -e
                    ip link add underlay netns \(client.processIdentifier) type veth peer name inside netns \(router.processIdentifier)
                    ip link add underlay netns \(server.processIdentifier) type veth peer name outside netns \(router.processIdentifier)
                    """,
                ]).wait()
                guard link.status == 0 else { throw TestFailure("\(link)") }
                // Who forwards IPv6 asks for neighbours from a link-local address.
                try await client.shell(
                    """
                    ip link set underlay up addrgenmode none
                    ip address add 192.0.2.1/24 dev underlay; ip address add fd00:1::1/64 dev underlay nodad
                    ip route add default via 192.0.2.254; ip -6 route add default via fd00:1::fe
                    """)
                try await server.shell(
                    """
                    ip link set underlay up addrgenmode none
                    ip address add 203.0.113.9/24 dev underlay; ip address add fd00:2::9/64 dev underlay nodad
                    """)
                try await router.shell(
                    """
                    sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
                    ip link set inside up addrgenmode none; ip link set outside up addrgenmode none
                    ip address add 192.0.2.254/24 dev inside; ip address add fd00:1::fe/64 dev inside nodad
                    ip address add 203.0.113.254/24 dev outside; ip address add fd00:2::fe/64 dev outside nodad
                    ip address add fe80::1/64 dev inside nodad; ip address add fe80::1/64 dev outside nodad
                    nft -f - <<'END'
                    table inet nat {
                        chain leave { type nat hook postrouting priority 100; }
                        chain pass { type filter hook forward priority 0; ct state established accept; }
                    }
                    END
                    """)
                try await write(driver: driver, isIPv6: isIPv6)
            }

            private func write(driver: String, isIPv6: Bool) async throws {
                let (key, near, far) = (
                    try await client.makeIdentity(), try await router.makeIdentity(), try await server.makeIdentity()
                )
                var one = AgreeingText(1, peerKey: far)
                one.endpoint = isIPv6 ? "[fd00:2::9]:6081" : "203.0.113.9:6081"
                one.moreOfInterface = ["Driver = \(driver)", "Underlay = underlay"]
                one.moreOfPeer = [
                    """
                    [Peer]
                    PublicKey = \(near)
                    Endpoint = \(isIPv6 ? "[fd00:1::fe]" : "192.0.2.254"):6081
                    AllowedIPs = 10.77.0.3/32
                    """
                ]
                try client.write(one.text)
                for (host, number) in [(server, 2), (router, 3)] {
                    var text = AgreeingText(2, peerKey: key, calls: false).text
                    text.replace("10.77.0.2/24, fd77::2/64", with: "10.77.0.\(number)/24, fd77::\(number)/64")
                    try host.write(text)
                }
            }

            /// Has the router translate from now on what it sees for the first time.
            func translate() async throws {
                try await router.run("nft", "add rule inet nat leave oifname outside masquerade")
            }
        }

        /// Each takes 25 s: all four of them only where there is time.
        private static let cases =
            ProcessInfo.processInfo.environment["WEFT_EXHAUSTIVE"] == "1"
            ? [("tun", false), ("tun", true), ("xdp", false), ("xdp", true)] : [("tun", false), ("xdp", true)]

        @Test(
            "One that comes late is left for another port, and nobody else's datagrams are", arguments: cases)
        func late(driver: String, isIPv6: Bool) async throws {
            let net = try await Net(driver: driver, isIPv6: isIPv6)
            for host in [net.server, net.router, net.client] { try await host.up() }
            try await net.client.expectAnswer(from: "10.77.0.3", within: 20)
            try await Task.sleep(for: .seconds(1))
            try await net.translate()
            let pings = try net.client.start(["ping", "-n", "-q", "-c", "100", "-i", "0.2", "10.77.0.3"])
            try await net.client.expectAnswer(from: "10.77.0.2", within: 60)
            #expect(try await pings.wait(atMost: 60).standardOutput.contains(" 100 received"))
            // Data goes that way in both directions.
            let payload = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 13) }
            for (host, address) in [(net.server, "10.77.0.2"), (net.router, "10.77.0.3")] {
                #expect(try await net.client.echo(payload, by: host, at: address) == payload)
            }
            for (host, isOwn) in [(net.server, false), (net.router, true)] {
                let endpoint = try await host.status().peers.first?.endpoint
                #expect(endpoint?.hasSuffix(":6081") == isOwn, "\(endpoint ?? "none")")
            }
        }
    }
}
