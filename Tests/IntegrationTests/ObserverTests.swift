// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftControl

@testable import WeftNode
@testable import weft

extension Integration {
    @Suite("What an observer sees")
    struct Observer {
        /// The distinct VNIs that one end's datagrams bore, in the order in which they came, and the SPI of the first.
        private struct Direction {
            var vnis: [UInt32] = []
            var firstSPI: UInt32 = 0
        }

        private func directions(_ frames: [[UInt8]]) -> [[UInt8]: Direction] {
            var seen: [[UInt8]: Direction] = [:]
            for datagram in frames.compactMap({ SealedDatagram(frame: $0) })
            where datagram.payload.prefix(2) == [6, 0x40] {
                var direction = seen[datagram.nonce.source] ?? Direction(firstSPI: datagram.nonce.spi)
                let vni = datagram.payload[4..<7].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
                if !direction.vnis.contains(vni) { direction.vnis.append(vni) }
                seen[datagram.nonce.source] = direction
            }
            return seen
        }

        @Test(
            "each direction of each session has a VNI of its own, and SPIs begin anywhere")
        func sessions() async throws {
            let hosts = try await HostPair()
            let capture = try await Capture(on: hosts.right, bytesPerFrame: 128)
            try await hosts.bringUpAgreeing()
            try await hosts.right.expectAnswer(from: "10.77.0.1")
            // Of two sessions that were dialled at once the second stays.
            try await Task.sleep(for: .seconds(3))
            let settled = try await hosts.left.status().peers[0]
            try await hosts.left.down()
            try await hosts.left.up()
            try await hosts.left.expectAnswer(from: "10.77.0.2", within: 20)
            try await hosts.right.expectAnswer(from: "10.77.0.1", within: 20)
            let seen = directions(try await capture.end())
            #expect(seen.count == 2)
            let leftKey = try await hosts.left.status().interface.publicKey
            let rightKey = try await hosts.right.status().interface.publicKey
            let own = try ControlPeer.derivedVNI(
                PublicKey(#require(leftKey)), PublicKey(#require(rightKey)))
            var all: [UInt32] = []
            for direction in seen.values {
                #expect(
                    direction.vnis.count >= 2 && direction.firstSPI & SPI.counters.upperBound > 1000, "\(direction)")
                all += direction.vnis
            }
            #expect(Set(all).count == all.count && !all.contains(own), "\(seen)")
            let now = try await hosts.left.status().peers[0]
            #expect(now.vni != nil && now.vni != settled.vni && now.send?.vni != settled.send?.vni)
        }

        @Test("a VNI in both files stays, whoever looks on")
        func own() async throws {
            let hosts = try await HostPair()
            let capture = try await Capture(on: hosts.right, bytesPerFrame: 128)
            try await hosts.bringUpAgreeing(peer: ["VNI = 4711"])
            try await hosts.right.expectAnswer(from: "10.77.0.1")
            let seen = directions(try await capture.end())
            #expect(seen.count == 2 && seen.values.allSatisfy { $0.vnis == [4711] }, "\(seen)")
        }
    }
}
