// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import WeftNode
@testable import weft

extension Integration {
    @Suite("Manual keys in the wrong place")
    struct CarriedKeys {
        @Test(
            "The same keys at both ends: whoever hears the other first stops, and says so", arguments: ["tun", "xdp"])
        func sameKeys(_ driver: String) async throws {
            let hosts = try await HostPair()
            var ends = TunnelText.pair()
            (ends.right.sendKey, ends.right.receiveKey) = (ends.left.sendKey, ends.left.receiveKey)
            for (host, end) in [(hosts.left, ends.left), (hosts.right, ends.right)] {
                var end = end
                end.moreOfInterface = ["Driver = \(driver)"]
                end.keepalive = "1"
                try host.write(end)
                try await host.up()
            }
            // One that stopped before it sent anything is never heard by the other.
            let words = "another host seals with it, too: nothing more is sent"
            func stopped() async throws -> Host? {
                for host in [hosts.left, hosts.right] where try await host.weft("show").standardOutput.contains(words) {
                    return host
                }
                return nil
            }
            try await eventually("an end notices") { try await stopped() != nil }
            let host = try #require(try await stopped())
            let before = try await host.status()
            #expect(
                before.peers[0].sendKeyIsShared == true && before.peers[0].drops["sealedWithOurKey", default: 0] > 0)
            let target = host === hosts.left ? "10.77.0.2" : "10.77.0.1"
            _ = try await host.attempt(["ping", "-c", "3", "-i", "0.2", "-W", "1", target])
            let after = try await host.status()
            #expect(after.totals.toUnderlay == before.totals.toUnderlay)
            #expect(after.peers[0].drops["transmitKeyShared", default: 0] >= 3, "\(after.peers[0])")
        }

        private static let hasMachineID = FileManager.default.fileExists(atPath: "/etc/machine-id")

        @Test(
            "A state folder on another machine: not before it is adopted, with a higher epoch",
            .enabled(if: hasMachineID))
        func moved() async throws {
            let hosts = try await HostPair()
            let ends = TunnelText.pair()
            try hosts.left.write(ends.left)
            try await hosts.left.up()
            try await hosts.left.down()
            let other = hosts.right
            try await other.shell(
                """
                echo fedcba9876543210fedcba9876543210 >'\(other.folder)/machine-id'
                mount --bind '\(other.folder)/machine-id' /etc/machine-id
                rmdir '\(other.folder)/state' && cp -a '\(hosts.left.folder)/state' '\(other.folder)/state'
                """)
            var moved = ends.left
            let path = try other.write(moved)
            let copied = try await other.weft("up", "--detach", path)
            #expect(copied.status == 1 && copied.standardError.contains("weft keys adopt"), "\(copied)")
            let early = try await other.weft("keys", "adopt", path)
            #expect(early.status == 1 && early.standardError.contains("set Epoch to 2 or more"), "\(early)")
            moved.epoch = 2
            try other.write(moved)
            let adopted = try await other.weft("keys", "adopt", path)
            #expect(adopted.status == 0 && adopted.standardOutput.contains("from Epoch 2 on"), "\(adopted)")
            try await other.up()
            // The machine that it comes from goes on where it was.
            try await hosts.left.up()
        }
    }
}
