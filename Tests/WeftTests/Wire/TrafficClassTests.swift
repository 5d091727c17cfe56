// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

/// RFC 6040, figure 4, as it stands there: what the inner field becomes; nil where the packet is dropped.
enum NaiveECN {
    /// Not-ECT, ECT(0), ECT(1), CE (RFC 3168 section 5).
    static let codepoints: [UInt8] = [0b00, 0b10, 0b01, 0b11]

    /// A row for each arriving inner field, a column for each arriving outer one, in the order of `codepoints`.
    private static let figure: [[UInt8?]] = [
        [0b00, 0b00, 0b00, nil],
        [0b10, 0b10, 0b01, 0b11],
        [0b01, 0b01, 0b01, 0b11],
        [0b11, 0b11, 0b11, 0b11],
    ]

    static func combined(inner: UInt8, outer: UInt8) -> UInt8? {
        guard let row = codepoints.firstIndex(of: inner), let column = codepoints.firstIndex(of: outer) else {
            return nil
        }
        return figure[row][column]
    }

    /// All sixteen.
    static let pairs = codepoints.flatMap { inner in codepoints.map { (inner, $0) } }
}

extension Packets {
    /// A packet whose header says another traffic class, with a right header checksum.
    static func marked(_ packet: [UInt8], _ trafficClass: UInt8) -> [UInt8] {
        guard packet[0] >> 4 == 6 else { return NaiveChecksums.withHeaderChecksum(packet.with(trafficClass, at: 1)) }
        return packet.with(0x60 | trafficClass >> 4, at: 0).with(trafficClass << 4 | packet[1] & 0x0F, at: 1)
    }
}

@Suite("Traffic class")
struct TrafficClassTests {
    @Test("a mark outside becomes what RFC 6040's table says, and nothing else changes", arguments: NaiveECN.pairs)
    func carrying(inner: UInt8, outer: UInt8) {
        var generator = SeededGenerator.fresh()
        for family in IPAddress.Family.allCases {
            for _ in 0..<50 {
                let dscp = UInt8.random(in: 0..<64, using: &generator) << 2
                let plain = Packets.random(from: .left, family, longest: 100, using: &generator)
                let packet = Packets.marked(plain, dscp | inner)
                var carried = packet
                var reason: DropReason?
                carried.withMutableBytes {
                    do throws(DropReason) {
                        try TrafficClass.carry(.random(in: 0..<64, using: &generator) << 2 | outer, into: &$0, family)
                    } catch { reason = error }
                }
                let expected = NaiveECN.combined(inner: inner, outer: outer)
                #expect(reason == (expected == nil ? .ceOnNotECT : nil), "seed \(generator.seed)")
                #expect(carried == Packets.marked(plain, dscp | (expected ?? inner)), "seed \(generator.seed)")
            }
        }
    }

    @Test("only what may have to be carried is looked at closely", arguments: NaiveECN.pairs)
    func quickLook(inner: UInt8, outer: UInt8) {
        #expect(TrafficClass.mayMark(outer) || NaiveECN.combined(inner: inner, outer: outer) == inner)
        #expect(TrafficClass.mayMark(outer | 0xFC) == TrafficClass.mayMark(outer))
    }

    @Test("a header checksum that was wrong stays wrong")
    func wrongChecksum() {
        let packet = Packets.marked(Packets.udp(from: .left), 0b10)
        var wrong = packet.with(packet[11] ^ 1, at: 11)
        let isCarried = wrong.withMutableBytes { (try? TrafficClass.carry(0b11, into: &$0, .v4)) != nil }
        #expect(isCarried)
        #expect(wrong[1] == 0b11 && Reference.sum(wrong[..<20]) != 0xFFFF)
    }

    @Test("a checksum is brought up to date by what changed, for any words (RFC 1624)")
    func updated() {
        var generator = SeededGenerator.fresh()
        for _ in 0..<20_000 {
            var header = RandomSuperpacket.random(20, using: &generator)
            // A header is never all zeroes, and so its sum never 0.
            header[0] |= 0x40
            header.replaceSubrange(10..<12, with: [0, 0])
            let before = ~Reference.sum(header)
            let offset = [0, 2, 4, 6, 8, 12, 14, 16, 18].randomElement(using: &generator) ?? 2
            let (old, new): (UInt16, UInt16) = (
                header.word(offset), [0, 0xFFFF, .random(in: 0...0xFFFF, using: &generator)].randomElement() ?? 0
            )
            header.replaceSubrange(offset..<offset + 2, with: Packets.big(new))
            guard header.contains(where: { $0 != 0 }) else { continue }
            #expect(Checksum.updated(before, from: old, to: new) == ~Reference.sum(header), "seed \(generator.seed)")
        }
    }
}
