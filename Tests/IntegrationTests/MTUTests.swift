// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import WeftNode
@testable import weft

extension Integration {
    @Suite("MTU")
    struct MTU {
        /// A tunnel of 1400 bytes over an underlay that takes `underlay`.
        private func makeTunnel(underlay: Int) async throws -> HostPair {
            let hosts = try await HostPair()
            let files = TunnelText.pair()
            for (host, file) in [(hosts.left, files.left), (hosts.right, files.right)] {
                try await host.run("ip", "link", "set", "underlay", "mtu", "\(underlay)")
                try host.write(file)
                try await host.up()
            }
            try await hosts.left.expectAnswer(from: "10.77.0.2")
            return hosts
        }

        @Test("What the underlay can't carry is counted, and the sender learns of it")
        func tooLong() async throws {
            let hosts = try await makeTunnel(underlay: 1300)
            let before = try await hosts.left.status()
            let ping = try await hosts.left.attempt([
                "ping", "-n", "-c", "3", "-i", "0.2", "-W", "1", "-M", "do", "-s", "1300", "10.77.0.2",
            ])
            #expect(ping.status == 1, "\(ping)")
            // 1300 less 20 (IPv4), 8 (UDP), 32 (Geneve) and 16 (the tag).
            #expect(
                (ping.standardOutput + ping.standardError).contains("mtu = 1224") || "\(ping)".contains("mtu=1224"),
                "\(ping)")
            let after = try await hosts.left.status()
            #expect(after.drops(.tooLongForUnderlay) > before.drops(.tooLongForUnderlay))
            expectBalance(after)
            #expect(try await hosts.left.pings("10.77.0.2", "-M", "do", "-s", "1196"))
            let payload = [UInt8](repeating: 3, count: 500_000)
            #expect(try await hosts.left.echo(payload, by: hosts.right, at: "10.77.0.2") == payload)
        }

        @Test("So it is over IPv6")
        func tooLongV6() async throws {
            let hosts = try await makeTunnel(underlay: 1400)
            let before = try await hosts.left.status()
            let ping = try await hosts.left.attempt([
                "ping", "-n", "-c", "3", "-i", "0.2", "-W", "1", "-M", "do", "-s", "1340", "fd77::2",
            ])
            #expect("\(ping)".contains("mtu=1324") || "\(ping)".contains("mtu = 1324"), "\(ping)")
            #expect(try await hosts.left.status().drops(.tooLongForUnderlay) > before.drops(.tooLongForUnderlay))
            let payload = [UInt8](repeating: 3, count: 500_000)
            #expect(try await hosts.left.echo(payload, by: hosts.right, at: "fd77::2") == payload)
        }
    }
}
