// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft

@testable import WeftNode
@testable import weft

extension Integration {
    @Suite("Hostile input")
    struct HostileInput {
        /// Datagrams that are no tunnel's, and the counter that each costs.
        private static let datagrams: [(bytes: [UInt8], reason: DropReason)] = {
            var header: [UInt8] = [0x06, 0x40, 0x08, 0x00, 0, 0, 7, 0]
            header += [0xFF, 0x00, 0x81, 1, 0, 0, 0, 1]
            header += [0xFF, 0x00, 0x82, 3, 0, 0, 0, 1] + [0, 0, 0, 0, 0, 0, 0, 9]
            let noise = [UInt8](repeating: 0xA5, count: 64)
            func changed(_ offset: Int, _ byte: UInt8) -> [UInt8] {
                var copy = header
                copy[offset] = byte
                return copy + noise
            }
            return [
                ([], .unknownNotTaken),
                ([0], .unknownNotTaken),
                (Array(header.prefix(7)), .datagramTruncated),
                (Array(header.prefix(31)), .datagramTruncated),
                // A tunnel with manual keys has nobody who takes control datagrams.
                (noise, .controlNotTaken),
                (changed(6, 8), .unknownVNI),
                (changed(15, 99), .noReceiveKey),
                (header + noise, .authenticationFailed),
                // As large as a datagram can be, in fragments.
                (header + [UInt8](repeating: 1, count: 60_000), .authenticationFailed),
            ]
        }()

        @Test("Garbage costs a counter and nothing else")
        func garbage() async throws {
            let hosts = try await HostPair()
            try await hosts.bringUp()
            // The other end's own probes would be counted, too.
            try await hosts.left.down()
            let began = try await hosts.right.status()
            for (bytes, reason) in Self.datagrams {
                let before = try await hosts.right.status()
                try await hosts.left.send([bytes], to: "192.0.2.2")
                try await eventually("a drop of \(bytes.count) bytes for \(reason)", within: 5) {
                    try await hosts.right.status().totals.fromUnderlay > before.totals.fromUnderlay
                }
                let after = try await hosts.right.status()
                #expect(after.drops(reason) == before.drops(reason) + 1, "\(bytes.count) bytes: \(after.totals.drops)")
                #expect(after.totals.fromUnderlay == before.totals.fromUnderlay + 1)
            }
            let ended = try await hosts.right.status()
            #expect(ended.processID == began.processID)
            #expect(ended.totals.rx.packets == began.totals.rx.packets)
            expectBalance(ended)
            try await hosts.left.up()
            try await hosts.left.expectAnswer(from: "10.77.0.2")
        }

        @Test("A flood of noise leaves the tunnel working")
        func flood() async throws {
            let hosts = try await HostPair()
            try await hosts.bringUp()
            var generator = SystemRandomNumberGenerator()
            let noise = (0..<5000).map { _ in
                (0..<Int.random(in: 0...1400, using: &generator)).map { _ in UInt8.random(in: 0...255) }
            }
            try await hosts.left.send(noise, to: "192.0.2.2")
            try await hosts.left.expectAnswer(from: "10.77.0.2")
            expectBalance(try await hosts.right.status())
        }
    }
}
