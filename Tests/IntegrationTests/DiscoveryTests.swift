// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing
import Weft

@testable import WeftNode
@testable import weft

extension Integration {
    /// Against coturn: its server answers our client, and our responder answers its client.
    @Suite("STUN")
    struct Discovery {
        /// A second address for a second server.
        private static let second = "192.0.2.6"

        /// coturn's server on the right, at two addresses.
        private func startServer(on hosts: HostPair) async throws -> ChildProcess {
            try await hosts.right.shell("ip address add \(Self.second)/32 dev lo")
            try await hosts.left.shell("ip route add \(Self.second) via 192.0.2.2")
            let server = try hosts.right.start([
                "turnserver", "--stun-only", "--listening-ip", "192.0.2.2", "--listening-ip", Self.second,
                "--listening-ip", "fd00::2", "--no-tls", "--no-dtls", "--no-cli", "--log-file", "stdout",
                "--pidfile", "\(hosts.right.folder)/turnserver.pid", "--userdb", "\(hosts.right.folder)/turndb",
            ])
            try await eventually("coturn") {
                if server.hasEnded { throw TestFailure("\(server.output)") }
                let sockets = try await hosts.right.run("ss", "-Hlun", "sport", "=", ":3478")
                return sockets.contains("192.0.2.2:3478") && sockets.contains("\(Self.second):3478")
            }
            return server
        }

        private struct Found: Decodable {
            struct Server: Decodable {
                let server: String
                let mapped: String?
                let error: String?
            }

            struct Mapping: Decodable {
                let family: Int
                let endpoint: String
                let dependsOnDestination: Bool?
            }

            let servers: [Server]
            let mappings: [Mapping]
        }

        private func stun(_ host: Host, _ servers: String...) async throws -> Found {
            let output = try await host.attempt([WeftCommand.path, "stun", "--json"] + servers)
            #expect(output.status == 0, "\(output)")
            return try JSONDecoder().decode(Found.self, from: Data(output.standardOutput.utf8))
        }

        @Test("coturn's servers answer the client in both families, and see the same without a translator")
        func client() async throws {
            let hosts = try await HostPair()
            let server = try await startServer(on: hosts)
            defer { server.kill(SIGTERM) }
            let found = try await stun(hosts.left, "192.0.2.2", Self.second, "[fd00::2]:3478")
            #expect(found.servers.allSatisfy { $0.error == nil && $0.mapped != nil }, "\(found)")
            #expect(found.mappings.map(\.family) == [4, 6])
            #expect(found.mappings[0].endpoint.hasPrefix("192.0.2.1:"))
            #expect(found.mappings[0].dependsOnDestination == false)
            #expect(found.mappings[1].endpoint.hasPrefix("[fd00::1]:"))
            #expect(found.mappings[1].dependsOnDestination == nil)
            let text = try await hosts.left.run(WeftCommand.path, "stun", "192.0.2.2", Self.second)
            #expect(text.contains("the same for every destination asked"))
        }

        @Test("behind a translator that gives each destination a port of its own, the mapping depends on it")
        func translated() async throws {
            let hosts = try await HostPair()
            let server = try await startServer(on: hosts)
            defer { server.kill(SIGTERM) }
            try await hosts.left.shell(
                """
                nft add table ip nat
                nft add chain ip nat out '{ type nat hook postrouting priority 100; }'
                nft add rule ip nat out ip daddr 192.0.2.2 udp dport 3478 snat to 192.0.2.1:20000
                nft add rule ip nat out ip daddr \(Self.second) udp dport 3478 snat to 192.0.2.1:20001
                """)
            let found = try await stun(hosts.left, "192.0.2.2", Self.second)
            #expect(found.mappings.map(\.endpoint) == ["192.0.2.1:20000"])
            #expect(found.mappings.first?.dependsOnDestination == true)
            #expect(found.servers.map(\.mapped) == ["192.0.2.1:20000", "192.0.2.1:20001"])
        }

        @Test("a tunnel learns its own port's public endpoint on the socket that carries its data")
        func tunnel() async throws {
            let hosts = try await HostPair()
            let server = try await startServer(on: hosts)
            defer { server.kill(SIGTERM) }
            var files = TunnelText.pair()
            files.left.moreOfInterface = ["STUN = 192.0.2.2, \(Self.second):3478, [fd00::2]"]
            try hosts.left.write(files.left)
            try hosts.right.write(files.right)
            try await hosts.left.up()
            try await hosts.right.up()
            try await eventually("the public endpoint") {
                let text = try await hosts.left.run(WeftCommand.path, "show")
                return text.contains("public endpoint: 192.0.2.1:6081, the same for every destination asked")
                    && text.contains("public endpoint: [fd00::1]:6081")
            }
            let text = try await hosts.left.run(WeftCommand.path, "stun")
            #expect(text.contains("192.0.2.2:3478 sees 192.0.2.1:6081"), "\(text)")
            try await hosts.left.expectAnswer(from: "10.77.0.2")
            let status = try await hosts.left.status()
            #expect(status.totals.streams["stun"] == 3)
            expectBalance(status)
        }

        @Test("coturn's client is answered by a tunnel's responder, which leaves its data alone; off, nobody answers")
        func responder() async throws {
            let hosts = try await HostPair()
            var files = TunnelText.pair()
            files.right.moreOfInterface = ["STUNResponder = on"]
            try hosts.left.write(files.left)
            try hosts.right.write(files.right)
            try await hosts.left.up()
            try await hosts.right.up()
            try await hosts.left.expectAnswer(from: "10.77.0.2")
            for (address, seen) in [("192.0.2.2", "192.0.2.1"), ("fd00::2", "fd00::1")] {
                let output = try await hosts.left.attempt(["turnutils_stunclient", "-p", "6081", address])
                #expect(output.status == 0 && output.standardOutput.contains(seen), "\(output)")
            }
            let found = try await stun(hosts.left, "192.0.2.2:6081")
            #expect(found.mappings.first?.endpoint.hasPrefix("192.0.2.1:") == true)
            let status = try await hosts.right.status()
            #expect((status.totals.streams["stun"] ?? 0) >= 3)
            expectBalance(status)
            // The left has no responder.
            let silent = try await hosts.right.attempt([WeftCommand.path, "stun", "192.0.2.1:6081"])
            #expect(silent.status == 1 && silent.standardError.contains("no server answered"), "\(silent)")
            #expect(try await hosts.left.status().drops(.stunNotTaken) == 3)
        }
    }
}
