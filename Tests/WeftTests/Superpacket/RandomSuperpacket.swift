// SPDX-License-Identifier: Apache-2.0
import WeftTestSupport

@testable import Weft

/// Makes random superpackets as a kernel hands them over, of every kind that is allowed.
struct RandomSuperpacket {
    var packet: [UInt8]
    var offload: Offload
    /// Whether it has more in front of TCP or UDP than a plain IP header.
    var hasOptions: Bool

    init(using generator: inout some RandomNumberGenerator) {
        let isTCP = Bool.random(using: &generator)
        let isV4 = Bool.random(using: &generator)
        hasOptions = Int.random(in: 0..<4, using: &generator) == 0
        let ip =
            isV4
            ? Self.v4Header(hasOptions, isTCP, using: &generator) : Self.v6Header(hasOptions, isTCP, using: &generator)
        let header = ip + (isTCP ? Self.tcpHeader(using: &generator) : Self.random(8, using: &generator))
        // Mostly short, so that many can be tried; some reach the largest.
        let longest: Int
        switch Int.random(in: 0..<200, using: &generator) {
        case 0: longest = 65_535 - header.count
        case 1..<20: longest = 4_000
        default: longest = 400
        }
        let payload = Self.random(Int.random(in: 1...longest, using: &generator), using: &generator)
        // So large a superpacket is never cut into bytes.
        let smallest = max(1, payload.count / 200)
        let size = Int.random(in: smallest...max(smallest, min(payload.count + 9, 65_535)), using: &generator)
        packet = header + payload
        if isV4 {
            packet.replaceSubrange(2..<4, with: Packets.big(UInt16(packet.count)))
        } else {
            packet.replaceSubrange(4..<6, with: Packets.big(UInt16(packet.count - 40)))
        }
        packet = NaiveChecksums.partial(packet)
        offload = Offload(
            kind: isTCP ? .tcp : .udp, segmentSize: UInt16(size), needsChecksum: true,
            checksumStart: UInt16(ip.count), checksumOffset: isTCP ? 16 : 6)
    }

    static func random(_ count: Int, using generator: inout some RandomNumberGenerator) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 8)
        while bytes.count < count {
            let word = generator.next()
            for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(shift * 8))) }
        }
        bytes.removeLast(bytes.count - count)
        return bytes
    }

    /// Up to 40 bytes of options, whose meaning doesn't matter; DF or not; any identification.
    private static func v4Header(
        _ hasOptions: Bool, _ isTCP: Bool, using generator: inout some RandomNumberGenerator
    ) -> [UInt8] {
        let words = hasOptions ? Int.random(in: 1...10, using: &generator) : 0
        var header = random(20 + words * 4, using: &generator)
        header[0] = 0x45 + UInt8(words)
        header[6] = Bool.random(using: &generator) ? 0x40 : 0
        header[7] = 0
        header[9] = isTCP ? 6 : 17
        return header
    }

    /// Hop-by-hop, routing and destination headers; a routing header may still have a segment left.
    private static func v6Header(
        _ hasOptions: Bool, _ isTCP: Bool, using generator: inout some RandomNumberGenerator
    ) -> [UInt8] {
        var header = random(40, using: &generator)
        header[0] = 0x60 | header[0] & 0x0F
        var last = 6
        if hasOptions {
            for type in [0, 43, 60] as [UInt8] where Bool.random(using: &generator) {
                let words = type == 43 ? 2 : Int.random(in: 0...2, using: &generator)
                header[last] = type
                last = header.count
                header += random((words + 1) * 8, using: &generator)
                header[last + 1] = UInt8(words)
                if type == 43 { header[last + 3] = .random(in: 0...1, using: &generator) }
            }
        }
        header[last] = isTCP ? 6 : 17
        return header
    }

    /// All flags, all options.
    private static func tcpHeader(using generator: inout some RandomNumberGenerator) -> [UInt8] {
        let words = Int.random(in: 5...15, using: &generator)
        var header = random(words * 4, using: &generator)
        header[12] = UInt8(words) << 4 | header[12] & 0x0F
        return header
    }
}
