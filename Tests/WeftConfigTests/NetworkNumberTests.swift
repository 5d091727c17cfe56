// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftControl

@testable import WeftConfig

@Suite("Which network leads to which peer")
struct NetworkNumberTests {
    private static let peers = (0..<4).map { number in
        let key = (try? Identity.generate().publicKey.description) ?? ""
        return "[Peer]\nPublicKey = \(key)\nAllowedIPs = 10.0.0.\(number + 2)/32\n"
    }

    private func file(_ peers: String...) throws -> TunnelConfiguration {
        try TunnelFile.parse(
            "[Interface]\nAddress = 10.0.0.1/24\nPrivateKeyFile = host.key\n" + peers.joined(), name: "weft0.conf")
    }

    @Test("a VNI of its own names a network, else it has a number")
    func kinds() throws {
        let peers = Self.peers
        let own = try file(peers[0], peers[1] + "VNI = 7\n", peers[2] + "ControlPort = 6082\nVNI = 8\n", peers[3])
        #expect(own.peers.map(\.network) == [.number(0), .vni(7), .vni(8), .number(1)])
        #expect(own.peers.map(\.hasOwnVNI) == [false, true, true, false])
        #expect(try TunnelFile.parse(Samples.small, name: "weft0.conf").peers.map(\.network) == [.vni(7)])
    }

    @Test("who stays keeps the network, and no number comes twice")
    func versions() throws {
        let peers = Self.peers
        let first = try file(peers[0], peers[1], peers[2])
        var second = try file(peers[2], peers[3], peers[0] + "VNI = 7\n")
        second.keepNetworks(of: first)
        #expect(second.peers.map(\.network) == [.number(2), .number(3), .vni(7)])
        // Who was gone, or had another name, is as good as new.
        var third = try file(peers[1], peers[2], peers[0])
        third.keepNetworks(of: second)
        #expect(third.peers.map(\.network) == [.number(4), .number(2), .number(5)])
        var fourth = try file(peers[0], peers[1])
        fourth.keepNetworks(of: third)
        #expect(fourth.peers.map(\.network) == [.number(5), .number(4)])
    }
}
