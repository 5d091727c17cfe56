// SPDX-License-Identifier: Apache-2.0
@testable import Weft
@testable import WeftLink

/// The kernel's answers about routes, rules, neighbours and links; each parser gets the same message. The seeds are in the
/// byte order of the machines that fuzz, little-endian.
enum NetlinkAnswers {
    private static let destination = IPAddress(v4: 0xC000_0202)

    static func run(_ input: RawSpan) {
        let message = input.array()
        if let rule = Rule(message: message) {
            check(!rule.description.isEmpty, "a rule without a text")
        }
        if let path = PathStatus(to: destination, message: message) {
            check(IPAddress(path.nextHop.description) == path.nextHop, "\(path)")
        }
        if let neighbor = NeighborStatus(message: message) {
            check(neighbor.isFresh || !neighbor.isStatic, "a static neighbour that isn't fresh")
            check(neighbor.mac.map { $0.bits >> 48 == 0 } ?? true, "\(neighbor)")
        }
        _ = LinkStatus.hasXDP(message: message)
        if let route = KernelRoute(message: message) {
            check((0...route.prefix.family.bitWidth).contains(route.prefix.length), "\(route)")
            check(Prefix(route.prefix.description) == route.prefix, "\(route)")
        }
    }

    static func seeds() -> [[UInt8]] {
        let v6 = [UInt8](repeating: 0x20, count: 16)
        return [
            // A rule of ours: table 77 for a mark, inverted.
            message(
                [2, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0],
                [
                    (21, [119]), (6, [0, 1, 0, 0]), (15, [77, 0, 0, 0]), (10, [1, 0, 0, 0]),
                    (16, [255, 255, 255, 255]),
                ]),
            // An IPv4 route by a router, and one over two.
            message(
                [2, 24, 0, 0, 254, 119, 0, 1, 0, 0, 0, 0],
                [
                    (15, [254, 0, 0, 0]), (1, [10, 77, 0, 0]), (4, [3, 0, 0, 0]), (5, [192, 0, 2, 1]),
                    (6, [9, 0, 0, 0]),
                ]),
            message(
                [2, 24, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0],
                [
                    (15, [254, 0, 0, 0]), (1, [10, 77, 0, 0]),
                    (9, [16, 0, 0, 0, 3, 0, 0, 0, 8, 0, 5, 0, 192, 0, 2, 1, 8, 0, 0, 1, 4, 0, 0, 0]),
                ]),
            // An IPv6 route with metrics, and an IPv4 route by an IPv6 router.
            message(
                [10, 64, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0],
                [(1, v6), (5, v6), (4, [3, 0, 0, 0]), (7, v6), (8, [8, 0, 2, 0, 220, 5, 0, 0])]),
            message(
                [2, 32, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0],
                [(1, [192, 0, 2, 2]), (4, [3, 0, 0, 0]), (18, [10, 0] + v6)]),
            // A neighbour that answers.
            message([2, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0], [(1, [192, 0, 2, 1]), (2, [2, 0, 0, 0, 0, 1])]),
            // A link with an XDP program.
            message([UInt8](repeating: 0, count: 16), [(43 | 0x8000, [5, 0, 2, 0, 1, 0, 0, 0])]),
        ]
    }

    private static func message(_ header: [UInt8], _ attributes: [(type: UInt16, payload: [UInt8])]) -> [UInt8] {
        attributes.reduce([UInt8](repeating: 0, count: 4) + [24, 0] + [UInt8](repeating: 0, count: 10) + header) {
            let count = UInt16($1.payload.count + 4)
            let padding = [UInt8](repeating: 0, count: (4 - Int(count) % 4) % 4)
            return $0 + [UInt8(count & 0xFF), UInt8(count >> 8), UInt8($1.type & 0xFF), UInt8($1.type >> 8)]
                + $1.payload + padding
        }
    }
}
