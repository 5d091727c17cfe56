// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing
import Weft

@testable import WeftNode
@testable import weft

extension Integration {
    @Suite("Queues and offloads")
    struct Queues {
        /// Enough for many superpackets each way.
        private static let payload = (0..<2_000_000).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 11) }

        @Test("Several queues carry many flows, each from a source port of its own")
        func queues() async throws {
            let hosts = try await HostPair()
            let before = try await hosts.left.networkState()
            try await hosts.bringUp(with: ["Queues = 3", "SourcePorts = 8", "PinThreads = on"])
            let capture = try await Capture(on: hosts.left, bytesPerFrame: 128)
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for flow in 0..<8 {
                    group.addTask {
                        let (sender, receiver) = flow % 2 == 0 ? (hosts.left, hosts.right) : (hosts.right, hosts.left)
                        let address = flow % 2 == 0 ? "10.77.0.2" : "fd77::1"
                        return try await sender.echo(
                            Self.payload, by: receiver, at: address, port: 7100 + flow) == Self.payload
                    }
                }
                for try await isWhole in group { #expect(isWhole) }
            }
            // Probes and keep-alives, which Geneve's protocol 0 tells, leave from the tunnel's own port.
            let left = try await capture.end().filter {
                SealedDatagram(frame: $0)?.nonce.source == [192, 0, 2, 1] && ($0[44], $0[45]) != (0, 0)
            }
            let ports = Set(left.map { UInt16($0[34]) << 8 | UInt16($0[35]) })
            #expect((2...8).contains(ports.count), "\(ports)")
            #expect(!ports.contains(6081))
            let status = try await hosts.left.status()
            expectBalance(status)
            #expect(status.driver.hasSuffix(", 3 queues, 8 source ports"), "\(status.driver)")
            try await hosts.left.down()
            try await hosts.right.down()
            #expect(try await hosts.left.networkState() == before)
        }

        @Test(
            "Traffic flows with each offload turned off, and with all",
            arguments: [
                "off", "checksum", "tso, uso", "checksum, uso, gso, gro", "checksum, tso, gso, gro",
                "checksum, tso, uso, gro", "checksum, tso, uso, gso", "gso, gro",
            ])
        func offloads(_ choice: String) async throws {
            let hosts = try await HostPair()
            try await hosts.bringUp(with: ["Offloads = \(choice)"])
            for address in ["10.77.0.2", "fd77::2"] {
                #expect(try await hosts.left.echo(Self.payload, by: hosts.right, at: address) == Self.payload)
            }
            let driver = try await hosts.left.status().driver
            for name in ["gso", "gro"] { #expect(driver.contains(name) == choice.contains(name), "\(driver)") }
            let hasChecksum = choice.contains("checksum")
            for name in ["checksum", "tso4", "tso6", "uso"] {
                #expect(driver.contains(name) == (hasChecksum && choice.contains(name.prefix(3))), "\(driver)")
            }
            expectBalance(try await hosts.left.status())
        }
    }
}
