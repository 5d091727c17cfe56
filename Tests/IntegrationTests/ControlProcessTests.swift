// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing
import Weft

@testable import WeftNode
@testable import weft

extension Integration {
    @Suite("Control processes that end")
    struct ControlProcesses {
        /// How often one is ended; more in a soak.
        private static let ends = Int(ProcessInfo.processInfo.environment["WEFT_CONTROL_ENDS"] ?? "") ?? 10
        /// Seconds from one end to the next, which is another host's.
        private static let gap = Double(ProcessInfo.processInfo.environment["WEFT_CONTROL_GAP"] ?? "") ?? 5
        /// How long new keys may take, in seconds. A soak asks for what users are promised; a busy test machine takes longer.
        private static let patience = Double(ProcessInfo.processInfo.environment["WEFT_CONTROL_PATIENCE"] ?? "") ?? 15

        /// What one host's control process has done since the tunnel came up.
        private func agreements(_ host: Host) async throws -> [UInt64] {
            try await host.status().peers.compactMap { $0.agreement?.count }
        }

        @Test("cost no packet, however they end, and keys are agreed anew, whichever end knows where the other is")
        func traffic() async throws {
            let hosts = try await HostPair()
            // Left can't call: nothing in its file says where right is.
            try await hosts.bringUpAgreeing(calls: (left: false, right: true))
            let capture = try await Capture(on: hosts.left, bytesPerFrame: 128)
            let rounds = Int(Double(Self.ends) * Self.gap)
            let pings = try hosts.left.start([
                "ping", "-n", "-q", "-i", "0.01", "-c", "\(rounds * 100)", "-W", "1", "10.77.0.2",
            ])
            let server = try hosts.right.start(["iperf3", "--server", "--bind", "10.77.0.2"])
            let load = try hosts.left.start([
                "sh", "-c",
                "sleep 1; iperf3 --client 10.77.0.2 --time \(rounds) --bitrate 2M --length 1200 --json",
            ])
            var slowest = 0.0
            for number in 0..<Self.ends {
                let host = number % 2 == 0 ? hosts.left : hosts.right
                let signal = ["KILL", "STOP", "ABRT", "SEGV"][number / 2 % 4]
                let began = Date()
                let before = try #require(try await agreements(host).first)
                let process = try #require(try await host.controlProcess(), "\(signal) on \(host.name)")
                try await host.shell("kill -\(signal) \(process)")
                try await eventually("keys after \(signal) on \(host.name)", within: Self.patience) {
                    try await agreements(host).first.map { $0 > before } ?? false
                }
                slowest = max(slowest, -began.timeIntervalSinceNow)
                let rest = Self.gap + began.timeIntervalSinceNow
                if rest > 0 { try await Task.sleep(for: .seconds(rest)) }
            }
            print("\(Self.ends) ends, keys agreed anew after at most \(slowest) s")
            let output = try await pings.wait(atMost: Double(rounds) + 30)
            #expect(output.standardOutput.contains(" 0% packet loss"), "\(output)")
            let stream = try await load.wait(atMost: Double(rounds) + 30)
            #expect(stream.status == 0, "\(stream)")
            _ = server
            let frames = try await capture.end()
            let nonces = frames.compactMap { SealedDatagram(frame: $0) }
                .filter { Identification(of: unsafe $0.payload.span.bytes).kind == .data }.map(\.nonce)
            #expect(nonces.count > rounds * 100)
            #expect(Set(nonces).count == nonces.count, "a nonce was used twice")
            for host in [hosts.left, hosts.right] {
                let status = try await host.status()
                #expect(status.control?.ends == UInt64(Self.ends / 2), "\(status.control?.lastEnd ?? "")")
                #expect(status.refusedCalls.isEmpty && status.control?.refused == 0, "\(status.refusedCalls)")
                #expect(status.drops(.noTransmitKey) + status.drops(.noReceiveKey) <= 2, "\(status.totals.drops)")
            }
            try await expectNothingLeft(hosts)
        }

        /// Takes both tunnels down; no process of theirs is left.
        private func expectNothingLeft(_ hosts: HostPair) async throws {
            for host in [hosts.left, hosts.right] {
                try await host.down()
                try await expectNoProcess(on: host)
            }
        }

        /// Nobody may be there to bury those that have ended.
        private func expectNoProcess(on host: Host) async throws {
            let living = "cat /proc/[0-9]*/status | grep -A 2 '^Name:.*weft' | grep '^State:' | grep -v zombie"
            try await eventually("the end of all processes on \(host.name)") {
                try await host.attempt(["sh", "-c", living]).status != 0
            }
        }

        @Test("A hundred peers are called anew, and each agrees on keys")
        func hundredPeers() async throws {
            let hosts = try await HostPair()
            let key = try await hosts.left.makeIdentity()
            let peers = try await hosts.right.inNetwork { try PeerCrowd(of: key, count: 100, firstPort: 7000) }
            defer { peers.close() }
            try hosts.left.write(
                """
                [Interface]
                Address = 10.77.0.1/24
                ListenPort = 6081
                PrivateKeyFile = host.key
                """
                    + peers.keys.enumerated().map { number, key in
                        """

                        [Peer]
                        PublicKey = \(key)
                        Endpoint = 192.0.2.2:\(7000 + number)
                        AllowedIPs = 10.78.0.\(number)/32
                        """
                    }.joined())
            try await hosts.left.up()
            let first = [UInt64](repeating: 1, count: 100)
            try await eventually("keys for all", within: 30) { try await agreements(hosts.left) == first }
            for round in 1...max(2, Self.ends / 5) {
                try await Task.sleep(for: .seconds(Self.gap))
                let began = Date()
                let process = try #require(try await hosts.left.controlProcess())
                try await hosts.left.shell("kill -KILL \(process)")
                try await eventually("keys for all anew", within: Self.patience) {
                    try await agreements(hosts.left).allSatisfy { $0 > UInt64(round) }
                }
                print("100 peers: keys with all of them after \(-began.timeIntervalSinceNow) s")
            }
            try await hosts.left.down()
        }

        @Test("A tunnel outlives its spawner as long as there is a control process, and then says why it ends")
        func spawner() async throws {
            let hosts = try await HostPair()
            try await hosts.bringUpAgreeing()
            let control = try #require(try await hosts.left.status().control)
            let (spawner, process) = (try #require(control.spawnerID), try #require(control.processID))
            try await hosts.left.shell("kill -KILL \(spawner)")
            try await Task.sleep(for: .seconds(1))
            #expect(try await hosts.left.pings("10.77.0.2"))
            #expect(try await hosts.left.controlProcess() == process)
            let status = try await hosts.left.status()
            #expect(status.control?.spawnerID == nil)
            #expect(status.complaints.contains { $0.contains("the spawner is gone") }, "\(status.complaints)")
            try await hosts.left.shell("kill -KILL \(process)")
            try await eventually("the tunnel's end") { try await hosts.left.weft("show", "weft0").status == 3 }
            #expect(try await hosts.left.attempt(["ip", "link", "show", "weft0"]).status != 0)
        }

        @Test("The data process' end is that of the others")
        func dataProcess() async throws {
            let hosts = try await HostPair()
            try await hosts.bringUpAgreeing()
            try await hosts.left.crash()
            try await expectNoProcess(on: hosts.left)
        }
    }
}
