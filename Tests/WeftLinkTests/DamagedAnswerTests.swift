// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft

@testable import WeftLink

@Suite("Netlink's answers, in the byte order of this machine", .enabled(if: 1.littleEndian == 1))
struct DamagedAnswerTests {
    /// An RTM_NEWROUTE message about 192.0.2.0/24 with further attributes.
    private func route(_ attributes: [(type: UInt8, payload: [UInt8])]) -> [UInt8] {
        let header = [UInt8](repeating: 0, count: 16) + [2, 24, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0]
        return ([(1, [192, 0, 2, 0])] + attributes).reduce(header) { message, attribute in
            let count = attribute.payload.count + 4
            return message + [UInt8(count), 0, attribute.type, 0] + attribute.payload
                + [UInt8](repeating: 0, count: (4 - count % 4) % 4)
        }
    }

    @Test("an IPv4 route by an IPv6 router")
    func via() throws {
        let router = [UInt8](repeating: 0xFD, count: 16)
        let route = try #require(KernelRoute(message: route([(4, [3, 0, 0, 0]), (18, [10, 0] + router)])))
        #expect(route.nexthops.map(\.device) == [3])
        #expect(route.nexthops[0].gateway == IPAddress(v6: 0xFDFD_FDFD_FDFD_FDFD, 0xFDFD_FDFD_FDFD_FDFD))
    }

    @Test("a router without an address, for which libnl copies -1 bytes")
    func emptyVia() throws {
        let route = try #require(KernelRoute(message: route([(4, [3, 0, 0, 0]), (18, [])])))
        #expect(route.nexthops.map(\.gateway) == [nil])
    }

    @Test("a nexthop of length 0, which libnl looked at for ever", arguments: [0, 7, 200])
    func nexthop(_ length: UInt8) throws {
        let first: [UInt8] = [8, 0, 0, 0, 5, 0, 0, 0]
        let damaged: [UInt8] = [length, 0, 0, 0, 6, 0, 0, 0]
        let route = try #require(KernelRoute(message: route([(9, first + damaged + first)])))
        #expect(route.nexthops.map(\.device) == [5])
    }

    @Test("every beginning of a message")
    func truncations() {
        let whole = route([(4, [3, 0, 0, 0]), (5, [192, 0, 2, 1]), (8, [8, 0, 2, 0, 220, 5, 0, 0])])
        #expect(KernelRoute(message: whole)?.mtu == 1500)
        for length in 0..<whole.count {
            let message = Array(whole.prefix(length))
            _ = (KernelRoute(message: message), Rule(message: message), NeighborStatus(message: message))
            _ = (PathStatus(to: IPAddress(v4: 1), message: message), LinkStatus.hasXDP(message: message))
        }
    }
}
