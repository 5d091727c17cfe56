// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing
import Weft

@testable import WeftNode
@testable import weft

extension Integration {
    @Suite("Rights of a tunnel's processes")
    struct ProcessRights {
        /// What the kernel says of a process, by name.
        private func kernel(_ process: Int32, on host: Host) async throws -> [String: String] {
            let text = try await host.shell("cat /proc/\(process)/status")
            let lines = text.split(separator: "\n").compactMap { line -> (String, String)? in
                guard let colon = line.firstIndex(of: ":") else { return nil }
                return (
                    String(line[..<colon]),
                    line[line.index(after: colon)...].split(whereSeparator: \.isWhitespace).joined(separator: " ")
                )
            }
            return Dictionary(lines) { first, _ in first }
        }

        private static let none = "0000000000000000"
        private static let netAdmin = "0000000000001000"

        @Test("Each of the three has what its part takes, and no way back", arguments: ["tun", "xdp"])
        func rights(driver: String) async throws {
            let hosts = try await HostPair()
            try await hosts.bringUpAgreeing(interface: ["Driver = \(driver)"])
            let status = try await hosts.left.status()
            let control = try #require(status.control)
            let spawner = try #require(control.spawnerID)
            let speaker = try #require(control.processID)
            // CAP_NET_ADMIN; binding to an interface that came back takes CAP_NET_RAW and CAP_BPF besides, and CAP_IPC_LOCK where
            // locked memory has a limit that may not be lifted.
            let kept = driver == "tun" ? [Self.netAdmin] : ["0000008000003000", "0000008000007000"]
            for (process, capabilities, filters) in [
                (status.processID, kept, 1), (spawner, [Self.none], 1), (speaker, [Self.none], 2),
            ] {
                let seen = try await kernel(process, on: hosts.left)
                let held = try #require(seen["CapPrm"])
                #expect(capabilities.contains(held) && seen["CapEff"] == held, "\(process): \(seen)")
                for set in ["CapBnd", "CapInh", "CapAmb"] { #expect(seen[set] == Self.none, "\(process): \(seen)") }
                #expect(seen["NoNewPrivs"] == "1" && seen["Seccomp"] == "2", "\(process): \(seen)")
                #expect(seen["Seccomp_filters"] == "\(filters)", "\(process): \(seen)")
            }
            let speakers = try await kernel(speaker, on: hosts.left)
            #expect(try await kernel(spawner, on: hosts.left)["Uid"] == speakers["Uid"])
            #expect(speakers["Uid"]?.hasPrefix("0 ") == false)
            #expect(speakers["Uid"] != (try await kernel(status.processID, on: hosts.left))["Uid"])
            #expect(speakers["Threads"] == "1")
            // One end of the pair, and what a foreground process had from the start.
            let open = try await hosts.left.shell("ls /proc/\(speaker)/fd").split(whereSeparator: \.isWhitespace)
            #expect(Set(open).isSubset(of: ["0", "1", "2", "3"]), "\(open)")
        }

        @Test("A day's events take no call that is refused", arguments: ["tun", "xdp"])
        func day(driver: String) async throws {
            let hosts = try await HostPair()
            try await hosts.left.shell("echo '192.0.2.2 right.example' >> \(hosts.left.folder)/hosts")
            try await hosts.left.run("mount", "--bind", "\(hosts.left.folder)/hosts", "/etc/hosts")
            let leftKey = try await hosts.left.makeIdentity()
            let rightKey = try await hosts.right.makeIdentity()
            var one = AgreeingText(1, peerKey: rightKey)
            one.endpoint = "right.example:6081"
            one.moreOfInterface = ["Driver = \(driver)", "Underlay = underlay", "RekeyInterval = 1"]
            let path = try hosts.left.write(one.text)
            try hosts.right.write(AgreeingText(2, peerKey: leftKey, calls: false).text)
            try await hosts.left.up()
            try await hosts.right.up()
            try await hosts.left.expectAnswer(from: "10.77.0.2", within: 15)
            // A reload, and a file that only its owner may read.
            one.moreOfPeer = ["PersistentKeepalive = 5"]
            try hosts.left.write(one.text)
            try await hosts.left.run(WeftCommand.path, "reload", "weft0")
            try await hosts.left.run(WeftCommand.path, "check", path, "--against", "weft0")
            // The peer goes elsewhere, and so does its name; then we.
            try await hosts.right.shell(
                "ip address add 192.0.2.66/24 dev underlay; ip address del 192.0.2.2/30 dev underlay")
            try await hosts.left.shell(
                "ip address add 192.0.2.65/24 dev underlay; echo '192.0.2.66 right.example' > \(hosts.left.folder)/hosts"
            )
            try await hosts.left.expectAnswer(from: "10.77.0.2", within: 20)
            // The interface goes down and up, and the control process ends.
            try await hosts.left.shell("ip link set underlay down; sleep 1; ip link set underlay up")
            let control = try #require(try await hosts.left.status().control?.processID)
            try await hosts.left.shell("kill -KILL \(control)")
            try await hosts.left.expectAnswer(from: "10.77.0.2", within: 20)
            if driver == "xdp" {
                // The interface is lost, and another comes.
                try await hosts.left.shell("ip link del underlay")
                try await Task.sleep(for: .seconds(1))
                try await hosts.join()
                try await hosts.left.shell("echo '192.0.2.2 right.example' > \(hosts.left.folder)/hosts")
                try await hosts.left.expectAnswer(from: "10.77.0.2", within: 30)
            }
            for host in [hosts.left, hosts.right] {
                let status = try await host.status()
                #expect(status.refusedCalls.isEmpty, "\(host.name): \(status.refusedCalls)")
                try await host.down()
            }
        }
    }
}
