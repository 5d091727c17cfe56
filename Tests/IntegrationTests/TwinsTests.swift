// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import WeftNode
@testable import weft

extension Integration {
    @Suite("Two hosts with one key")
    struct OneKey {
        @Test("One of them keeps its session, and weft show says where both are")
        func shown() async throws {
            let hosts = try await HostPair()
            let (leftKey, rightKey) = (try await hosts.left.makeIdentity(), try await hosts.right.makeIdentity())
            try hosts.right.write(AgreeingText(2, peerKey: leftKey, calls: false).text)
            var file = AgreeingText(1, peerKey: rightKey)
            try hosts.left.write(file.text)
            // A second tunnel of the left host, at another port, is the other host.
            file.moreOfInterface = ["Table = off"]
            try hosts.left.write(
                file.text.replacingOccurrences(of: "ListenPort = 6081", with: "ListenPort = 6091"), to: "weft1.conf")
            try await hosts.right.up()
            try await hosts.left.up()
            try await hosts.left.expectAnswer(from: "10.77.0.2", within: 20)
            try await hosts.left.up("weft1")
            let both = ["192.0.2.1:6081", "192.0.2.1:6091"]
            try await eventually("both places", within: 30) {
                try await hosts.right.status().peers.first?.agreement?.hostsWithKey == both
            }
            let shown = try await hosts.right.run(WeftCommand.path, "show", "weft0")
            #expect(
                shown.contains("two hosts have it, one at 192.0.2.1:6081 and one at 192.0.2.1:6091"), "\(shown)")
            // Sessions that take each other's place come and go by the hundred a second.
            let before = try await hosts.right.status().peers.first?.agreement?.count ?? 0
            try await Task.sleep(for: .seconds(5))
            let after = try await hosts.right.status().peers.first?.agreement?.count ?? 0
            #expect(after <= before + 2)
            try await eventually("why one has no session", within: 60) {
                for name in ["weft0", "weft1"] {
                    let why = try await hosts.left.status(name).peers.first?.agreement?.lastFailure
                    if why?.contains("another host that has our key") == true { return true }
                }
                return false
            }
        }
    }
}
