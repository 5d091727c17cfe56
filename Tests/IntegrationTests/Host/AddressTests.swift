// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing
import Weft

@testable import WeftNode
@testable import weft

extension Integration {
    @Suite("Several addresses")
    struct Addresses {
        /// Two hosts of which the right one has a second IPv4 address, and a second IPv6 one that is deprecated.
        private func hosts(driver: String, listen: String? = nil) async throws -> (HostPair, peer: String) {
            let hosts = try await HostPair()
            try await hosts.right.shell(
                """
                ip address del 192.0.2.2/30 dev underlay
                ip address add 192.0.2.2/24 dev underlay
                ip address add 192.0.2.3/24 dev underlay
                ip address add fd00::3/64 dev underlay nodad preferred_lft 0
                """)
            try await hosts.left.shell(
                "ip address del 192.0.2.1/30 dev underlay; ip address add 192.0.2.1/24 dev underlay")
            let (leftKey, rightKey) = (try await hosts.left.makeIdentity(), try await hosts.right.makeIdentity())
            var file = AgreeingText(2, peerKey: leftKey, calls: false)
            file.moreOfInterface = ["Driver = \(driver)", "STUNResponder = on"]
            if driver == "xdp" { file.moreOfInterface.append("Underlay = underlay") }
            if let listen { file.moreOfInterface.append("Listen = \(listen)") }
            try hosts.right.write(file.text)
            try await hosts.right.up()
            return (hosts, rightKey)
        }

        private func call(_ endpoint: String, of peer: String, from host: Host) async throws {
            var file = AgreeingText(1, peerKey: peer)
            file.endpoint = endpoint
            file.moreOfInterface = ["Driver = tun"]
            try host.write(file.text)
            try await host.up()
        }

        @Test("Whichever is called answers: control, data and STUN", arguments: ["tun", "xdp"])
        func whichever(driver: String) async throws {
            for endpoint in ["192.0.2.3:6081", "[fd00::3]:6081", "192.0.2.2:6081"] {
                let (hosts, peer) = try await hosts(driver: driver)
                try await call(endpoint, of: peer, from: hosts.left)
                try await hosts.left.expectAnswer(from: "10.77.0.2", within: 20)
                #expect(try await hosts.left.weft("stun", endpoint).status == 0, "\(endpoint)")
                // The first answer may come by the kernel's socket, where AF_XDP carries what follows.
                for _ in 0..<15 {
                    #expect(try await hosts.left.pings("10.77.0.2"))
                    try await Task.sleep(for: .milliseconds(100))
                }
                let address = try #require(Endpoint(endpoint)?.address)
                let family = address.family == .v4 ? "ip" : "ip6"
                let other = try await hosts.left.shell(
                    """
                    nft add table inet watch
                    nft add chain inet watch arrivals '{ type filter hook prerouting priority -400; }'
                    nft add rule inet watch arrivals iifname underlay udp sport 6081 \(family) saddr != \(address) counter
                    ping -n -q -c 5 -i 0.2 10.77.0.2 >/dev/null
                    nft list table inet watch
                    """)
                #expect(other.contains("counter packets 0 "), "\(endpoint): \(other)")
            }
        }

        @Test(
            "An address that goes away while a peer is spoken to from it is left for another",
            arguments: ["tun", "xdp"])
        func lost(driver: String) async throws {
            let (hosts, peer) = try await hosts(driver: driver)
            try await call("192.0.2.3:6081", of: peer, from: hosts.left)
            try await hosts.left.expectAnswer(from: "10.77.0.2", within: 20)
            try await hosts.right.run("ip", "address", "del", "192.0.2.3/24", "dev", "underlay")
            // Who called doesn't know, and calls where nobody is; what we have to say arrives from where we are.
            let before = try await hosts.left.status().totals.rx.packets
            try await eventually("what comes from the other address", within: 20) {
                _ = try await hosts.right.pings("10.77.0.1", patience: "0.1")
                return try await hosts.left.status().totals.rx.packets > before + 3
            }
        }

        @Test("Listen binds to one", arguments: ["tun", "xdp"])
        func listen(driver: String) async throws {
            let (hosts, peer) = try await hosts(driver: driver, listen: "192.0.2.3")
            #expect(try await hosts.left.weft("stun", "192.0.2.3:6081").status == 0)
            #expect(try await hosts.left.weft("stun", "192.0.2.2:6081").status != 0)
            try await call("192.0.2.3:6081", of: peer, from: hosts.left)
            try await hosts.left.expectAnswer(from: "10.77.0.2", within: 20)
            #expect(try await hosts.right.run(WeftCommand.path, "show").contains("6081 at 192.0.2.3"))
        }
    }
}
