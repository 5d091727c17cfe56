// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing
import Weft

@testable import WeftNode
@testable import weft

extension Integration {
    @Suite("A day's events")
    struct Day {
        /// Accounts, and ways to look names up that take libraries: some of the C library's own that few hosts name.
        private func prepare(_ host: Host) async throws {
            try await host.makeUsers(61_201, 61_202)
            for (name, text) in [
                ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files compat hesiod dns\n"),
                ("resolv.conf", "nameserver 192.0.2.2\noptions timeout:1 attempts:1\n"),
                ("hosts", "192.0.2.2 right.test\n"),
            ] {
                try host.write(text, to: name, mode: 0o644)
                try await host.shell("mount --bind \(host.folder)/\(name) /etc/\(name)")
            }
        }

        @Test("Whatever happens to a tunnel, no system call that it makes is refused", arguments: ["tun", "xdp"])
        func day(driver: String) async throws {
            let hosts = try await HostPair()
            let host = hosts.left
            for host in [host, hosts.right] { try await prepare(host) }
            // Room to renumber.
            for (host, number) in [(host, 1), (hosts.right, 2)] {
                try await host.shell(
                    "ip address flush dev underlay; ip address add 192.0.2.\(number)/24 dev underlay")
            }
            let leftKey = try await host.makeIdentity()
            let rightKey = try await hosts.right.makeIdentity()
            var left = AgreeingText(1, peerKey: rightKey)
            var right = AgreeingText(2, peerKey: leftKey, calls: false)
            left.endpoint = "right.test:6081"
            // Nobody answers for that one: it is asked for over the network.
            left.moreOfInterface = [
                "Driver = \(driver)", "Underlay = underlay", "STUN = stun.nowhere.test", "PinThreads = on",
            ]
            right.moreOfInterface = ["Driver = \(driver)", "Underlay = underlay", "STUNResponder = on", "Queues = 2"]
            if driver == "xdp" { right.moreOfInterface.removeLast() }
            left.moreOfPeer = ["PersistentKeepalive = 1"]
            try host.write(left.text)
            try hosts.right.write(right.text)
            try await hosts.right.up()
            try await host.up()
            try await host.expectAnswer(from: "10.77.0.2", within: 20)
            let processes = try await (host.process(), hosts.right.process())

            // Read again, by descriptors and by the signal.
            left.moreOfPeer = ["PersistentKeepalive = 2", "RateLimit = 100000"]
            try host.write(left.text)
            try await host.run(WeftCommand.path, "reload", "weft0")
            try await hosts.right.shell("kill -HUP \(processes.1)")
            // Looked at, also by who is slow to ask.
            for host in [host, hosts.right] { try await host.run(WeftCommand.path, "show", "weft0") }
            // The peer roams, and its name follows.
            if driver == "tun" {
                try await hosts.right.shell("ip address flush dev underlay; ip address add 192.0.2.5/24 dev underlay")
                try await host.shell("echo 192.0.2.5 right.test > \(host.folder)/hosts")
                try await hosts.right.expectAnswer(from: "10.77.0.1", within: 30)
            }
            // Down and up; and away, and there anew.
            try await host.shell("ip link set underlay down; sleep 1; ip link set underlay up")
            try await host.expectAnswer(from: "10.77.0.2", within: 30)
            try await host.shell("ip link del underlay; sleep 1")
            try await hosts.join()
            try await host.shell("echo 192.0.2.2 right.test > \(host.folder)/hosts")
            try await host.expectAnswer(from: "10.77.0.2", within: 40)
            // A control process that must be started anew.
            if let control = try await host.controlProcess() { try await host.shell("kill -KILL \(control)") }
            try await eventually("another control process") { try await host.controlProcess() != nil }
            try await host.expectAnswer(from: "10.77.0.2", within: 20)

            for (host, process) in [(host, processes.0), (hosts.right, processes.1)] {
                let status = try await host.status()
                #expect(status.processID == process)
                #expect(status.refusedCalls.isEmpty, "\(status.refusedCalls)")
                #expect(status.control?.refused == 0)
                try await host.down()
            }
        }
    }
}
