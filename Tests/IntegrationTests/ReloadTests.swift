// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing
import Weft

@testable import WeftNode
@testable import weft

extension Integration {
    @Suite("Reload")
    struct Reloading {
        @Test("A changed file is applied in one step, and what stays loses no packet", arguments: ["tun", "xdp"])
        func change(driver: String) async throws {
            let hosts = try await HostPair()
            // One caller: two may meet, and agree twice.
            try await hosts.bringUpAgreeing(
                calls: (true, false), interface: ["Driver = \(driver)", "Underlay = underlay"])
            let before = try await hosts.left.status()
            let flood = try hosts.left.start(["ping", "-q", "-i", "0.002", "-c", "2500", "10.77.0.2"])
            var text = try String(contentsOfFile: "\(hosts.left.folder)/weft0.conf", encoding: .utf8)
            let third = try await hosts.right.run(WeftCommand.path, "genkey")
            try hosts.right.write(third, to: "third.key")
            let key = try await hosts.right.run(WeftCommand.path, "pubkey", "\(hosts.right.folder)/third.key")
            text += "\n[Peer]\nPublicKey = \(key)AllowedIPs = 10.77.0.3/32, 10.88.0.0/16\n"
            try hosts.left.write(text, to: "next.conf")

            let plan = try await hosts.left.weft("check", "\(hosts.left.folder)/next.conf", "--against", "weft0")
            #expect(plan.status == 0 && plan.standardOutput.hasPrefix("+ peer "), "\(plan)")
            #expect(try await hosts.left.status().peers.count == 1)

            try hosts.left.write(text)
            let outcome = try await hosts.left.weft("reload", "weft0")
            #expect(outcome.status == 0 && outcome.standardOutput.hasPrefix("+ peer "), "\(outcome)")
            var status = try await hosts.left.status()
            #expect(status.peers.count == 2)
            #expect(status.peers[0].agreement?.count == before.peers[0].agreement?.count)
            #expect(try await hosts.left.shell("ip route show 10.88.0.0/16").contains("weft0"))

            try hosts.left.write(text.replacingOccurrences(of: "10.88.0.0/16", with: "10.89.0.0/16"))
            let moved = try await hosts.left.weft("reload", "weft0")
            #expect(moved.status == 0 && moved.standardOutput.contains("AllowedIPs 10.77.0.3/32, 10.89"), "\(moved)")
            #expect(try await hosts.left.shell("ip route show 10.88.0.0/16").isEmpty)
            #expect(try await hosts.left.shell("ip route show 10.89.0.0/16").contains("weft0"))

            try hosts.left.write(text.replacingOccurrences(of: "10.88.0.0/16", with: "10.88.0.0/61"))
            #expect(try await hosts.left.weft("reload", "weft0").status == 1)
            #expect(try await hosts.left.shell("ip route show 10.89.0.0/16").contains("weft0"))

            // Back again, by the signal.
            let old = text.components(separatedBy: "\n[Peer]\nPublicKey = \(key)")[0]
            try hosts.left.write(old)
            try await hosts.left.shell("kill -HUP \(status.processID)")
            try await eventually("the peer's end") { try await hosts.left.status().peers.count == 1 }
            status = try await hosts.left.status()
            #expect(status.processID == before.processID)
            #expect(status.peers[0].send?.spi == before.peers[0].send?.spi)
            #expect(try await hosts.left.shell("ip route show 10.89.0.0/16").isEmpty)
            #expect(status.driver.hasPrefix("\(driver) ("))
            let ping = try await flood.wait()
            #expect(ping.standardOutput.contains(" 2500 received, 0% packet loss"), "\(ping)")
        }

        @Test("An endpoint that becomes a name, another name, an address again, or goes loses no packet")
        func endpoints() async throws {
            let hosts = try await HostPair()
            try hosts.left.write("127.0.0.1 localhost\n192.0.2.2 one.example two.example\n", to: "hosts")
            try await hosts.left.run("mount", "--bind", "\(hosts.left.folder)/hosts", "/etc/hosts")
            try await hosts.bringUpAgreeing(calls: (true, false))
            let text = try String(contentsOfFile: "\(hosts.left.folder)/weft0.conf", encoding: .utf8)
            let flood = try hosts.left.start(["ping", "-q", "-i", "0.005", "-c", "900", "10.77.0.2"])
            for place in ["one.example:6081", "two.example:6081", "192.0.2.2:6081", nil, "one.example:6081"] {
                try hosts.left.write(
                    text.replacingOccurrences(
                        of: "Endpoint = 192.0.2.2:6081", with: place.map { "Endpoint = \($0)" } ?? ""))
                let outcome = try await hosts.left.weft("reload", "weft0")
                #expect(outcome.status == 0 && outcome.standardOutput.contains("Endpoint"), "\(outcome)")
                try await Task.sleep(for: .milliseconds(500))
                #expect(try await hosts.left.status().peers.first?.endpoint == "192.0.2.2:6081", "\(place ?? "none")")
            }
            let ping = try await flood.wait()
            #expect(ping.standardOutput.contains(", 0% packet loss"), "\(ping)")
        }

        @Test("A name that stands for another place leads there at once, session or not")
        func renamed() async throws {
            let hosts = try await HostPair()
            try await hosts.right.run("ip", "address", "add", "192.0.2.10/32", "dev", "underlay")
            try await hosts.left.run("ip", "route", "add", "192.0.2.10/32", "dev", "underlay")
            try hosts.left.write("192.0.2.2 one.example\n192.0.2.10 two.example\n", to: "hosts")
            try await hosts.left.run("mount", "--bind", "\(hosts.left.folder)/hosts", "/etc/hosts")
            try await hosts.bringUpAgreeing(calls: (true, false))
            let text = try String(contentsOfFile: "\(hosts.left.folder)/weft0.conf", encoding: .utf8)
            for name in ["one.example", "two.example"] {
                try hosts.left.write(text.replacingOccurrences(of: "192.0.2.2:6081", with: "\(name):6081"))
                #expect(try await hosts.left.weft("reload", "weft0").status == 0)
            }
            try await eventually("packets to the other place") {
                try await hosts.left.status().peers.first?.endpoint == "192.0.2.10:6081"
            }
        }

        @Test(
            "A bad file changes nothing and says why",
            arguments: [
                ("ListenPort = 6081", "ListenPort = 6082", "ListenPort in [Interface] is another"),
                ("MTU = 1400", "MTU = 14", "MTU: expected auto, or a number from 576"),
                ("AllowedIPs", "AllowedIP", "did you mean AllowedIPs"),
            ])
        func badFile(old: String, new: String, why: String) async throws {
            let hosts = try await HostPair()
            try await hosts.bringUpAgreeing()
            let text = try String(contentsOfFile: "\(hosts.left.folder)/weft0.conf", encoding: .utf8)
            try hosts.left.write(text.replacingOccurrences(of: old, with: new))
            let outcome = try await hosts.left.weft("reload", "weft0")
            #expect(outcome.status == 1 && outcome.standardError.contains(why), "\(outcome)")
            #expect(try await hosts.left.pings("10.77.0.2"))
            #expect(try await hosts.left.weft("reload", "weft1").status == 3)
        }
    }
}
