// SPDX-License-Identifier: Apache-2.0
import CTestSupport
import Foundation
import Testing
import Weft
import WeftControl
import WeftQUIC
import WeftTestSupport

@testable import WeftNode
@testable import weft

extension Integration {
    /// A port on the Internet, and those who look for what is there.
    @Suite("Silence towards strangers")
    struct Silence {
        private static let isLong = ProcessInfo.processInfo.environment["WEFT_EXHAUSTIVE"] == "1"
        private static let count = isLong ? 1_000_000 : 20_000

        /// First packets of clients that know a key, but not this one.
        private static func initials() throws -> [[UInt8]] {
            let client = try QUICEndpoint(Identity.generate())
            let now = Instant(nanoseconds: 1_000_000_000)
            for _ in 0..<64 {
                _ = client.dial(try Identity.generate().publicKey, at: Endpoint(IPAddress(v4: 1), port: 1), now: now)
            }
            var packets: [[UInt8]] = []
            client.flush(now: now) { packet, _ in packets.append(packet.indices.map { packet[$0] }) }
            return packets
        }

        /// One of what scanners send.
        private static func probe(_ initials: [[UInt8]], _ generator: inout SeededGenerator) -> [UInt8] {
            func noise(_ count: Int) -> [UInt8] { (0..<count).map { _ in .random(in: 0...255, using: &generator) } }
            switch Int.random(in: 0..<8, using: &generator) {
            case 0: return initials.randomElement(using: &generator) ?? []
            case 1:
                // Of any version, ours to be, drafts and none.
                var packet = initials.randomElement(using: &generator) ?? []
                packet.replaceSubrange(
                    1..<5, with: Bool.random(using: &generator) ? noise(4) : [0x6B, 0x33, 0x43, 0xCF])
                return packet
            case 2:
                return [UInt8.random(in: 0x40...0x7F, using: &generator), 0x51]
                    + noise(.random(in: 20...60, using: &generator))
            case 3:
                return [6, 0x40, 8, 0] + noise(4) + [0xFF, 0, 0x81, 1] + noise(4) + [0xFF, 0, 0x82, 3] + noise(80)
            case 4: return [0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42] + noise(12)
            case 5: return [1, 0, 0, 0] + noise(144)
            case 6: return [0x54, 0x53, 0xF0, 0x9F, 0x92, 0xAC] + noise(90)
            default: return noise(.random(in: 0...1400, using: &generator))
            }
        }

        @Test("a scanner gets no byte, whatever it sends", arguments: ["tun", "xdp"])
        func scanner(_ driver: String) async throws {
            let hosts = try await HostPair()
            let (leftKey, _) = (try await hosts.left.makeIdentity(), try await hosts.right.makeIdentity())
            var file = AgreeingText(2, peerKey: leftKey, calls: false)
            file.moreOfInterface = ["Driver = \(driver)"] + (driver == "xdp" ? ["Underlay = underlay"] : [])
            try hosts.right.write(file.text)
            try await hosts.right.up()
            try await eventually("the control process", within: 5) { try await hosts.right.controlProcess() != nil }
            let capture = try await Capture(on: hosts.left, bytesPerFrame: 64)
            let initials = try Self.initials()
            let seed = SeededGenerator.fresh().seed
            try await hosts.left.inNetwork {
                var generator = SeededGenerator(seed: seed)
                var sockets: [Socket] = []
                for _ in 0..<16 { sockets.append(try Socket.connected(SOCK_DGRAM, to: "192.0.2.2", port: 6081)) }
                for number in 0..<Self.count {
                    try sockets[number % sockets.count].send(Self.probe(initials, &generator))
                    // So that the receiver's socket drops few.
                    if number % 64 == 0 { usleep(500) }
                }
            }
            let frames = try await capture.end()
            let status = try await hosts.right.status()
            let answers = frames.filter {
                $0.count > 35 && $0[12] == 8 && $0[13] == 0 && $0[26..<30].elementsEqual([192, 0, 2, 2])
            }
            #expect(answers.isEmpty, "\(answers.count) answers, the first \(answers.first ?? []), seed \(seed)")
            #expect(status.totals.fromUnderlay > UInt64(Self.count) / 2, "they arrived: \(status.totals.drops)")
            #expect(status.drops(.controlNotTagged) > UInt64(Self.count) / 10)
            expectBalance(status)
            // Who is known is still welcome.
            try hosts.left.write(
                AgreeingText(
                    1, peerKey: try await hosts.right.run(WeftCommand.path, "pubkey", "\(hosts.right.folder)/host.key")
                ).text)
            try await hosts.left.up()
            try await hosts.left.expectAnswer(from: "10.77.0.2", within: 10)
        }
    }
}
