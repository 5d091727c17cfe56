// SPDX-License-Identifier: Apache-2.0
import Foundation
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

        @Test(
            "Where the underlay takes 1280 bytes, inner IPv6 passes in fragments, and keys are agreed on",
            arguments: ["tun", "xdp"])
        func smallUnderlay(driver: String) async throws {
            for endpoint in ["192.0.2.2:6081", "[fd00::2]:6081"] {
                let hosts = try await HostPair()
                let (leftKey, rightKey) = (try await hosts.left.makeIdentity(), try await hosts.right.makeIdentity())
                var files = (AgreeingText(1, peerKey: rightKey), AgreeingText(2, peerKey: leftKey, calls: false))
                files.0.endpoint = endpoint
                for (host, file) in [(hosts.left, files.0), (hosts.right, files.1)] {
                    try await host.run("ip", "link", "set", "underlay", "mtu", "1280")
                    var text = file.text
                    text.replace("MTU = 1400", with: "MTU = 1280\nDriver = \(driver)\nUnderlay = underlay")
                    try host.write(text)
                    try await host.up()
                }
                try await hosts.left.expectAnswer(from: "fd77::2", within: 20)
                #expect(try await hosts.left.pings("fd77::2", "-M", "do", "-s", "1232"))
                let payload = [UInt8](repeating: 3, count: 300_000)
                #expect(try await hosts.left.echo(payload, by: hosts.right, at: "fd77::2") == payload, "\(endpoint)")
                #expect(try await hosts.left.echo(payload, by: hosts.right, at: "10.77.0.2") == payload, "\(endpoint)")
            }
        }

        @Test(
            "What a router between swallows without a word is found, and data goes on in what passes",
            arguments: ["tun"])
        func silentRouter(driver: String) async throws {
            let hosts = try await HostPair()
            let (leftKey, rightKey) = (try await hosts.left.makeIdentity(), try await hosts.right.makeIdentity())
            let files = (AgreeingText(1, peerKey: rightKey), AgreeingText(2, peerKey: leftKey, calls: false))
            for (host, file) in [(hosts.left, files.0), (hosts.right, files.1)] {
                var text = file.text
                text.replace("PrivateKeyFile", with: "Driver = \(driver)\nUnderlay = underlay\nPrivateKeyFile")
                try host.write(text)
                // A path that takes 1300 bytes, as seen from both ends: longer datagrams that mustn't be fragmented vanish.
                try await host.shell(
                    """
                    nft add table netdev path
                    nft 'add chain netdev path arrivals { type filter hook ingress device underlay priority -500; }'
                    nft add rule netdev path arrivals ip protocol udp ip length gt 1300 'ip frag-off & 0x4000 != 0' drop
                    """)
                try await host.up()
            }
            try await hosts.left.expectAnswer(from: "10.77.0.2", within: 20)
            let payload = [UInt8](repeating: 3, count: 300_000)
            for address in ["10.77.0.2", "fd77::2"] {
                #expect(try await hosts.left.echo(payload, by: hosts.right, at: address) == payload, "\(address)")
            }
            #expect((try await hosts.left.status().peers[0].path?.mtu ?? 0) <= 1224)
        }

        @Test("The longest that passes is found, and all passes, whatever becomes of ICMP", arguments: MTUSweep.few)
        func few(sweep: MTUSweep) async throws {
            _ = try await sweep.run(bytes: 300_000)
        }

        @Test(
            "So it is for each length from the least on",
            .enabled(if: ProcessInfo.processInfo.environment["WEFT_MTU_SWEEP"] == "1"))
        func each() async throws {
            var table =
                "| driver, path and ICMP | found | seconds to it | 10 MB there and back by inner IPv4, IPv6 |\n| --- | ---: | ---: | ---: |\n"
            for sweep in MTUSweep.all {
                do {
                    let outcome = try await sweep.run(bytes: 10_000_000)
                    let line = String(
                        format: "| \(sweep) | %d | %.1f | %.1f, %.1f s |\n", min(outcome.found.0, outcome.found.1),
                        outcome.toFullSize, outcome.transfers[0], outcome.transfers[1])
                    // Who waits for all of it sees each at once.
                    FileHandle.standardOutput.write(Data(line.utf8))
                    table += line
                } catch {
                    Issue.record("\(sweep): \(error)")
                }
            }
            print(table)
        }

        @Test("Without a word the interface takes what the path does, as that changes", arguments: ["tun", "xdp"])
        func automatic(driver: String) async throws {
            let hosts = try await HostPair()
            let (leftKey, rightKey) = (try await hosts.left.makeIdentity(), try await hosts.right.makeIdentity())
            let files = (AgreeingText(1, peerKey: rightKey), AgreeingText(2, peerKey: leftKey))
            for (host, file) in [(hosts.left, files.0), (hosts.right, files.1)] {
                var text = file.text
                text.replace("MTU = 1400", with: "Driver = \(driver)\nUnderlay = underlay")
                try host.write(text)
                try await host.up()
            }
            func expect(_ mtu: Int, underlay: Int) async throws {
                for host in [hosts.left, hosts.right] {
                    try await host.run("ip", "link", "set", "underlay", "mtu", "\(underlay)")
                }
                try await eventually("an MTU of \(mtu) over \(underlay)", within: 60) {
                    _ = try await hosts.left.pings("10.77.0.2", patience: "0.2")
                    _ = try await hosts.right.pings("10.77.0.1", patience: "0.2")
                    for host in [hosts.left, hosts.right] where try await host.status().interface.mtu != mtu {
                        return false
                    }
                    return true
                }
                for host in [hosts.left, hosts.right] {
                    #expect(try await host.run("ip", "link", "show", "weft0").contains("mtu \(mtu) "))
                    #expect(try await host.weft("check", "--live", "weft0").status == 0)
                }
                #expect(try await hosts.left.pings("10.77.0.2", "-M", "do", "-s", "\(mtu - 28)"))
                let payload = (0..<500_000).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 13) }
                for address in ["10.77.0.2", "fd77::2"] {
                    #expect(try await hosts.left.echo(payload, by: hosts.right, at: address) == payload, "\(address)")
                }
            }
            try await expect(1424, underlay: 1500)
            try await expect(1324, underlay: 1400)
            try await expect(1424, underlay: 1500)
            if driver == "tun" { try await expect(8924, underlay: 9000) }
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
