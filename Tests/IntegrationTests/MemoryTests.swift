// SPDX-License-Identifier: Apache-2.0
import CTestSupport
import Foundation
import Testing

@testable import WeftNode
@testable import weft

extension Integration {
    @Suite("What a memory opens")
    struct Memory {
        /// Seconds between renewals: long enough that a replaced key is gone long before the next one.
        private static let interval = 10

        /// One end's SA as the capture shows it.
        private struct Association: Hashable {
            let source: [UInt8]
            let spi: UInt32
        }

        @Test(
            "Of a whole capture the memory of all processes at a random moment opens two exchanges' SAs at most",
            .disabled(if: test_is_sanitized() != 0, "a sanitizer keeps what was freed"))
        func moment() async throws {
            let hosts = try await HostPair()
            let preshared = try await hosts.left.run(WeftCommand.path, "genpsk")
                .trimmingCharacters(in: .whitespacesAndNewlines)
            let capture = try await Capture(on: hosts.left)
            try await hosts.bringUpAgreeing(
                interface: ["RekeyInterval = \(Self.interval)"], peer: ["PresharedKey = \(preshared)"])
            let pings = try hosts.left.start(["ping", "-n", "-q", "-i", "0.2", "10.77.0.2"])
            try await agreements(hosts.left, 4)
            try await Task.sleep(for: .milliseconds(Int.random(in: 0..<Self.interval * 1000)))
            let images = try ProcessImage.all(on: hosts.left) + ProcessImage.all(on: hosts.right)
            let now = try await hosts.left.status().peers[0].agreement?.count ?? 0
            try await agreements(hosts.left, now + 3)
            pings.kill(SIGINT)
            let frames = try await capture.end()

            // What runs on each host: who carries packets, who speaks with strangers, and who starts that.
            #expect(images.count == 6, "\(images.map(\.program))")
            let (order, targets) = try Self.targets(frames)
            #expect(order.count >= 2 * 7, "\(order.count) SAs in the capture")
            let search = try KeySearch(targets)
            var found: Set<Association> = []
            for image in images { found.formUnion(search.find(in: image).map { order[$0] }) }
            for source in Set(order.map(\.source)) {
                let all = order.filter { $0.source == source }
                let opened = all.indices.filter { found.contains(all[$0]) }
                print("of \(all.count) SAs of one end those of exchanges \(opened.map { $0 + 1 }) were opened")
                // The search finds what is there; and what is there belongs to two exchanges, one behind the other.
                let first = try #require(opened.first)
                #expect(opened == [first] || opened == [first, first + 1])
                #expect(first >= 2 && (opened.last ?? 0) <= all.count - 2)
            }
        }

        private func agreements(_ host: Host, _ count: UInt64) async throws {
            try await eventually("\(count) agreements", within: Double(count) * Double(Self.interval) + 60) {
                try await Task.sleep(for: .milliseconds(200))
                return try await host.status().peers[0].agreement?.count ?? 0 >= count
            }
        }

        /// The SAs that a capture shows, in the order in which they came, and a ping under each.
        private static func targets(_ frames: [[UInt8]]) throws -> ([Association], [KeySearch.Target]) {
            var order: [Association] = []
            var targets: [KeySearch.Target] = []
            for datagram in frames.compactMap({ SealedDatagram(frame: $0) }) {
                // 32 bytes of header, an IPv4 packet of 84 bytes, and the tag.
                guard datagram.payload.count == 32 + 84 + 16, datagram.payload[2...3].elementsEqual([8, 0]) else {
                    continue
                }
                let association = Association(source: datagram.nonce.source, spi: datagram.nonce.spi)
                guard !order.contains(association) else { continue }
                order.append(association)
                let number = try #require(datagram.nonce.source.last)
                targets.append(
                    KeySearch.Target(
                        counter: datagram.payload[20..<32] + [0, 0, 0, 2], sealed: Array(datagram.payload[32..<48]),
                        known: [0: 0x45, 2: 0, 3: 84, 9: 1, 12: 10, 13: 77, 14: 0, 15: number]))
            }
            return (order, targets)
        }
    }
}
