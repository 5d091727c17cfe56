// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import WeftNode
@testable import weft

extension Integration {
    @Suite("Preshared keys of two ends")
    struct PresharedKeys {
        private static let difference = "the preshared keys differ"

        /// An end whose log is at hand.
        private struct End {
            let host: Host
            let tunnel: ChildProcess

            init(_ host: Host, _ text: AgreeingText) async throws {
                self.host = host
                let path = try host.write(text.text)
                let tunnel = try host.start([WeftCommand.path, "up", path])
                self.tunnel = tunnel
                try await eventually("the tunnel") {
                    if tunnel.hasEnded { throw TestFailure("\(tunnel.output)") }
                    return try await host.weft("show", "weft0").status == 0
                }
            }

            /// How often its log says that the keys differ.
            var notices: Int { tunnel.output.standardError.components(separatedBy: difference).count - 1 }

            func shows(_ words: String) async throws -> Bool {
                try await host.weft("show").standardOutput.contains(words)
            }

            func agreements() async throws -> UInt64 { try await host.status().peers[0].agreement?.count ?? 0 }
        }

        @Test("A changed one makes a new session; while the ends have different ones both say so in one line")
        func change() async throws {
            let hosts = try await HostPair()
            var keys: [String] = []
            for _ in 0..<2 {
                keys.append(
                    try await hosts.left.run(WeftCommand.path, "genpsk").trimmingCharacters(in: .whitespacesAndNewlines)
                )
            }
            var one = AgreeingText(1, peerKey: try await hosts.right.makeIdentity())
            var two = AgreeingText(2, peerKey: try await hosts.left.makeIdentity())
            one.moreOfPeer = ["PresharedKey = \(keys[0])"]
            two.moreOfPeer = one.moreOfPeer
            let ends = [try await End(hosts.left, one), try await End(hosts.right, two)]
            try await hosts.left.expectAnswer(from: "10.77.0.2")
            try await eventually("keys that both use") { try await ends[1].agreements() > 0 }
            let before = try await ends[0].agreements()
            #expect(try await ends[0].shows("preshared key: (hidden)"))

            // The right end's is another, in a file of its own.
            try hosts.right.write("\(keys[1])\n", to: "peer.psk")
            two.moreOfPeer = ["PresharedKeyFile = peer.psk"]
            try hosts.right.write(two.text)
            let reload = try await hosts.right.weft("reload", "weft0")
            #expect(reload.standardOutput.contains("PresharedKey another, with a new session"), "\(reload)")
            try await eventually("both ends say that the keys differ") {
                for end in ends {
                    guard try await end.shows(Self.difference), end.notices > 0 else { return false }
                }
                return true
            }
            // The keys that were agreed on before live on.
            #expect(try await hosts.left.pings("10.77.0.2"))
            #expect(try await ends[0].agreements() == before)
            // They try again, and have nothing new to say.
            try await Task.sleep(for: .seconds(12))
            for end in ends {
                #expect(end.notices == 1, "\(end.tunnel.output)")
                for key in keys { #expect(!"\(end.tunnel.output)\(reload)".contains(key)) }
            }

            one.moreOfPeer = ["PresharedKey = \(keys[1])"]
            try hosts.left.write(one.text)
            #expect(try await hosts.left.weft("reload", "weft0").status == 0)
            try await eventually("new keys", within: 10) { try await ends[0].agreements() > before }
            try await hosts.left.expectAnswer(from: "10.77.0.2")
            try await eventually("nothing to complain of") {
                for end in ends where try await end.shows(Self.difference) { return false }
                return true
            }
        }
    }
}
