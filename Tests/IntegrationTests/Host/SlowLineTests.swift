// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing
import Weft

@testable import WeftNode
@testable import weft

extension Integration {
    @Suite("A peer behind a slow line")
    struct SlowLines {
        /// A line of 1 Mbit/s with room for everything, to a peer that isn't there; and a device that leads nowhere.
        private static let line = """
            ip link add idle type veth peer name end
            ip link set idle up
            ip link set end up
            ip link add slow type veth peer name nowhere
            ip address add 198.51.100.1/24 dev slow
            ip link set slow up
            ip link set nowhere up
            ip neighbor add 198.51.100.3 lladdr 02:00:00:00:00:03 dev slow
            tc qdisc add dev slow root handle 1: tbf rate 1mbit burst 64k limit 200m
            tc qdisc add dev slow parent 1:1 pfifo limit 100000
            """

        @Test(
            "holds up nobody else, however much is sent to it",
            arguments: [
                ["Queues = 1"], ["Queues = 2"], ["Queues = 2", "SourcePorts = 4"],
                // What other devices lead to is the kernel's to send.
                ["Driver = xdp", "Underlay = idle"],
            ])
        func one(options: [String]) async throws {
            let hosts = try await HostPair()
            try await hosts.left.shell(Self.line)
            var files = TunnelText.pair()
            files.left.moreOfInterface = options
            files.left.moreOfPeer = [
                """
                [Peer]
                VNI = 8
                Endpoint = 198.51.100.3:6081
                AllowedIPs = 10.77.0.3/32
                Epoch = 1
                SendKey = \(randomKey())
                ReceiveKey = \(randomKey())
                """
            ]
            try await hosts.bringUp(files)
            try await hosts.left.expectAnswer(from: "10.77.0.2")

            // Twenty times what the line carries, all along, and less than the device's own queue.
            let packets = [[UInt8]](repeating: [UInt8](repeating: 7, count: 1300), count: 20)
            let flood = Task {
                while !Task.isCancelled {
                    try await hosts.left.send(packets, to: "10.77.0.3", port: 9)
                    try await Task.sleep(for: .milliseconds(10))
                }
            }
            try await eventually("a full line", within: 60) {
                try await hosts.left.status().drops(.underlayRefused) > 0
            }
            let pings = try await hosts.left.attempt(
                ["ping", "-n", "-q", "-c", "40", "-i", "0.05", "-W", "5", "10.77.0.2"], atMost: 60)
            flood.cancel()
            _ = try? await flood.value
            #expect(pings.standardOutput.contains(" 40 received"), "\(pings)")
        }
    }
}
