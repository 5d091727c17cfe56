// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

@Suite("Inner MTU")
struct TunnelMTUTests {
    @Test(
        "less the outer IP header, UDP and what sealing adds; IPv6's where the family is open",
        arguments: [
            (1500, .v4, 1424), (1500, .v6, 1404), (1500, nil, 1404), (9000, .v4, 8924), (1280, .v6, 1184),
            (1501, .v4, 1425), (1356, .v4, 1280),
        ] as [(Int, IPAddress.Family?, Int)])
    func inner(underlay: Int, family: IPAddress.Family?, expected: Int) {
        #expect(TunnelMTU.inner(underlay: underlay, family: family) == expected)
    }

    @Test("a packet of the inner MTU makes an IP packet of just the underlay's", arguments: IPAddress.Family.allCases)
    func exact(outer: IPAddress.Family) throws {
        var end = End(.left)
        end.outer = outer
        var lane = try Lane(try end.engine())
        let packet = Packets.udp(from: .left, count: TunnelMTU.inner(underlay: 1500, family: outer))
        #expect(lane.seal(packet, at: End.start).bytes.count == 14 + 1500)
    }
}
