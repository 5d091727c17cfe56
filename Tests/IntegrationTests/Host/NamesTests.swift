// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestResolver
import Testing
import Weft

@testable import WeftNode
@testable import weft

extension Integration {
    /// Peers that are known by names, to the real command.
    @Suite("Names")
    struct Names {
        private static let good = IPAddress(v4: 0xC000_0202)

        private func endpoint(_ hosts: HostPair) async throws -> String? {
            try await hosts.left.status().peers.first?.endpoint
        }

        @Test("Three that nobody answers for keep no other from being found, and say so")
        func badNames() async throws {
            let hosts = try await HostPair()
            try await hosts.left.run("ip", "route", "add", "default", "via", "192.0.2.2")
            let server = try await hosts.right.startResolver(
                [
                    "good.example": .addresses([Self.good]), "bad1.example": .silence, "bad2.example": .silence,
                    "bad3.example": .silence,
                ], at: "198.18.0.53")
            defer { server.close() }
            try await hosts.left.readNames(resolvers: "nameserver 198.18.0.53\n")
            var left = AgreeingText(1, peerKey: try await hosts.right.makeIdentity())
            left.endpoint = "good.example:6081"
            var text = left.text
            for number in 1...3 {
                try await hosts.right.run(WeftCommand.path, "genkey", "\(hosts.right.folder)/absent\(number).key")
                let key = try await hosts.right.run(
                    WeftCommand.path, "pubkey", "\(hosts.right.folder)/absent\(number).key")
                text +=
                    "\n[Peer]\nPublicKey = \(key)Endpoint = bad\(number).example:6081\nAllowedIPs = 10.78.0.\(number)/32\n"
            }
            try hosts.right.write(AgreeingText(2, peerKey: try await hosts.left.makeIdentity(), calls: false).text)
            try hosts.left.write(text)
            try await hosts.right.up()
            try await hosts.left.up()
            try await hosts.left.expectAnswer(from: "10.77.0.2")
            try await eventually("what is wrong with the others", within: 30) {
                try await hosts.left.status().peers.dropFirst()
                    .allSatisfy { $0.name?.failure == "no answer from 198.18.0.53" }
            }
            let status = try await hosts.left.status()
            #expect(status.peers.first?.name?.addresses == ["192.0.2.2"] && status.peers.first?.name?.failure == nil)
            #expect(status.control?.refused == 0 && status.refusedCalls.isEmpty)
            let shown = try await hosts.left.run(WeftCommand.path, "show", "weft0")
            #expect(shown.contains("name: good.example is 192.0.2.2"), "\(shown)")
            #expect(shown.contains("bad1.example can't be looked up: no answer from 198.18.0.53"), "\(shown)")
        }

        @Test("Of several addresses the one that answers is found, and called first the next time")
        func severalAddresses() async throws {
            let hosts = try await HostPair()
            try await hosts.left.readNames(
                hosts: "fd00::99 server.example\n192.0.2.3 server.example\n192.0.2.2 Server.Example.\n", resolvers: "")
            var left = AgreeingText(1, peerKey: try await hosts.right.makeIdentity())
            left.endpoint = "server.example:6081"
            try hosts.left.write(left.text)
            try hosts.right.write(AgreeingText(2, peerKey: try await hosts.left.makeIdentity(), calls: false).text)
            try await hosts.right.up()
            try await hosts.left.up()
            try await hosts.left.expectAnswer(from: "10.77.0.2", within: 15)
            #expect(try await endpoint(hosts) == "192.0.2.2:6081")
            #expect(
                try await hosts.left.status().peers.first?.name?.addresses == ["fd00::99", "192.0.2.3", "192.0.2.2"])
        }

        @Test("A tunnel that takes the default route finds its peer by a name, and again when that leads elsewhere")
        func throughTheTunnel() async throws {
            let hosts = try await HostPair()
            try await hosts.right.run("ip", "address", "add", "192.0.2.10/32", "dev", "underlay")
            try await hosts.left.run("ip", "route", "add", "default", "via", "192.0.2.10", "dev", "underlay", "onlink")
            let server = try await hosts.right.startResolver(
                ["server.example": .addresses([Self.good])], at: "198.18.0.53")
            defer { server.close() }
            // The host's own resolver is passed over for those that it asks.
            try await hosts.left.readNames(resolvers: "nameserver 127.0.0.53\n")
            try await hosts.left.shell(
                "mkdir /run/systemd/resolve && echo nameserver 198.18.0.53 >/run/systemd/resolve/resolv.conf")
            let rightKey = try await hosts.right.makeIdentity()
            var left = AgreeingText(1, peerKey: rightKey)
            left.endpoint = "server.example:6081"
            try hosts.left.write(
                left.text.replacingOccurrences(
                    of: "AllowedIPs = 10.77.0.2/32, fd77::2/128", with: "AllowedIPs = 0.0.0.0/0, ::/0"))
            var right = AgreeingText(2, peerKey: try await hosts.left.makeIdentity(), calls: false)
            right.moreOfInterface = ["LocalIPs = 0.0.0.0/0, ::/0"]
            try hosts.right.write(right.text)
            try await hosts.right.up()
            try await hosts.left.up()
            try await hosts.left.expectAnswer(from: "10.77.0.2", within: 15)
            // The peer comes back elsewhere.
            try await hosts.right.crash()
            try await hosts.right.shell(
                """
                ip address del 192.0.2.2/30 dev underlay
                ip route add 192.0.2.1 dev underlay src 192.0.2.10
                """)
            server.zone.withLock { $0["server.example"] = .addresses([IPAddress(v4: 0xC000_020A)]) }
            try await hosts.right.up()
            try await hosts.left.expectAnswer(from: "10.77.0.2", within: 30)
            #expect(try await endpoint(hosts) == "192.0.2.10:6081")
        }

        @Test("A changed hosts file and a changed Resolver are followed without a restart")
        func changes() async throws {
            let hosts = try await HostPair()
            try await hosts.left.run("ip", "route", "add", "default", "via", "192.0.2.2")
            let server = try await hosts.right.startResolver(
                ["server.example": .addresses([Self.good])], at: "198.18.0.53")
            defer { server.close() }
            try await hosts.left.readNames(resolvers: "")
            var left = AgreeingText(1, peerKey: try await hosts.right.makeIdentity())
            left.endpoint = "server.example:6081"
            try hosts.left.write(left.text)
            try hosts.right.write(AgreeingText(2, peerKey: try await hosts.left.makeIdentity(), calls: false).text)
            try await hosts.right.up()
            try await hosts.left.up()
            try await eventually("what to do") {
                try await hosts.left.status().peers.first?.name?.failure?.contains("Resolver in [Interface]") == true
            }
            left.moreOfInterface = ["Resolver = 198.18.0.53"]
            try hosts.left.write(left.text)
            let outcome = try await hosts.left.weft("reload", "weft0")
            #expect(outcome.standardOutput.contains("Resolver: 198.18.0.53"), "\(outcome)")
            try await hosts.left.expectAnswer(from: "10.77.0.2", within: 15)
            try await hosts.left.shell(
                "echo '192.0.2.2 server.example # 1' >/etc/hosts; echo fd00::2 server.example >>/etc/hosts")
            // The default route is IPv4's alone.
            try await eventually("the hosts file's addresses") {
                try await hosts.left.status().peers.first?.name?.addresses == ["192.0.2.2", "fd00::2"]
            }
        }
    }
}
