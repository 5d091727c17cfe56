// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

/// Reads a TCP header's options one after the other (RFC 9293 section 3.2), up to one that is malformed.
private enum NaiveOptions {
    /// Where each option of four bytes that says a maximum segment size has its value.
    static func sizes(in packet: [UInt8]) -> [Int] {
        guard let parsed = NaivePacket(packet), !parsed.isFragment, parsed.isTCP, packet.count >= parsed.transport + 20
        else { return [] }
        let end = parsed.transport + Int(packet[parsed.transport + 12] >> 4) * 4
        guard end <= packet.count else { return [] }
        var rest = parsed.transport + 20
        var found: [Int] = []
        while rest < end, packet[rest] != 0 {
            if packet[rest] == 1 {
                rest += 1
            } else if rest + 1 < end, packet[rest + 1] >= 2, rest + Int(packet[rest + 1]) <= end {
                if packet[rest] == 2, packet[rest + 1] == 4 { found.append(rest + 2) }
                rest += Int(packet[rest + 1])
            } else {
                break
            }
        }
        return found
    }

    static func lowered(_ packet: [UInt8], mtu: Int) -> [UInt8] {
        var lowered = packet
        guard packet[0] >> 4 == 4 || packet[0] >> 4 == 6 else { return packet }
        let most = mtu - (packet[0] >> 4 == 4 ? 40 : 60)
        for offset in sizes(in: packet) where most > 0 && Int(packet.word(offset, as: UInt16.self)) > most {
            lowered.replaceSubrange(offset..<offset + 2, with: Packets.big(UInt16(most)))
        }
        return lowered == packet ? packet : NaiveChecksums.complete(lowered)
    }
}

extension Packets {
    /// A TCP packet that begins a connection, with right checksums.
    /// - Parameter options: a multiple of four bytes.
    static func syn(
        from side: End.Side = .left, _ family: IPAddress.Family, options: [UInt8], flags: UInt8 = 2,
        payload: [UInt8] = []
    ) -> [UInt8] {
        var packet = Array(udp(from: side, family, count: family == .v4 ? 28 : 48).dropLast(4))
        packet[family == .v4 ? 9 : 6] = IPProtocol.tcp
        packet += big(7 as UInt32) + big(0 as UInt32) + [UInt8(5 + options.count / 4) << 4, flags, 1, 2, 0, 0, 0, 0]
        packet += options + payload
        if family == .v4 {
            packet.replaceSubrange(2..<4, with: big(UInt16(packet.count)))
        } else {
            packet.replaceSubrange(4..<6, with: big(UInt16(packet.count - 40)))
        }
        return NaiveChecksums.complete(packet)
    }

    /// The option that says so.
    static func maximumSegmentSize(_ size: Int) -> [UInt8] { [2, 4] + big(UInt16(size)) }
}

@Suite("Maximum segment size")
struct MaximumSegmentSizeTests {
    private func lowered(_ packet: [UInt8], mtu: Int) -> [UInt8] {
        var lowered = packet
        let family: IPAddress.Family = packet[0] >> 4 == 4 ? .v4 : .v6
        lowered.withMutableBytes {
            if MaximumSegmentSize.mayBeSaid(in: $0.bytes, family) {
                MaximumSegmentSize.lower(in: &$0, family, mtu: mtu)
            }
        }
        return lowered
    }

    @Test("it is lowered to what fits, never raised, wherever among the options it stands")
    func places() {
        for family in IPAddress.Family.allCases {
            let headers = family == .v4 ? 40 : 60
            for front in [[], [1], [1, 1], [1, 1, 1], [4, 2], [3, 3, 7], [8, 10, 0, 0, 0, 1, 0, 0, 0, 0]] as [[UInt8]] {
                for size in [0, 100, 1240, 1359, 1360, 1361, 1460, 65_535] {
                    var options = front + Packets.maximumSegmentSize(size)
                    while options.count % 4 != 0 { options.append(1) }
                    for flags in [0x02, 0x12, 0xC2] as [UInt8] {
                        let packet = Packets.syn(family, options: options, flags: flags, payload: [1, 2, 3])
                        let result = lowered(packet, mtu: 1400)
                        let least = min(size, 1400 - headers)
                        let offset = (family == .v4 ? 40 : 60) + front.count + 2
                        #expect(result.word(offset, as: UInt16.self) == UInt16(least))
                        #expect(NaivePacket(result)?.checksumsAreRight == true)
                        #expect(result == NaiveOptions.lowered(packet, mtu: 1400))
                    }
                }
            }
        }
    }

    @Test("what begins no connection, has no such option, or is a fragment stays as it is")
    func others() {
        let option = Packets.maximumSegmentSize(9000)
        for family in IPAddress.Family.allCases {
            for packet in [
                Packets.syn(family, options: option, flags: 0x10), Packets.syn(family, options: []),
                Packets.syn(family, options: [2, 3, 40, 0]), Packets.syn(family, options: [0, 2] + option + [0, 0]),
                Packets.syn(family, options: [2, 1] + option + [0, 0]), Packets.syn(family, options: [1, 1, 1, 2]),
                Packets.syn(family, options: [2, 5, 9, 9]), Packets.udp(from: .left, family, count: 100),
            ] { #expect(lowered(packet, mtu: 1280) == packet) }
        }
        let fragment = Packets.syn(.v4, options: option).with(0x20, at: 6)
        #expect(lowered(fragment, mtu: 1280) == fragment)
        // Where there is no room for any payload nothing that could be said helps.
        let packet = Packets.syn(.v6, options: option)
        #expect(lowered(packet, mtu: 60) == packet)
    }

    @Test(
        "whatever the options are, what a naive reader would change is changed, and the checksum stays as right as it was"
    )
    func random() {
        var generator = SeededGenerator.fresh()
        var changed = 0
        for _ in 0..<20_000 {
            let family: IPAddress.Family = Bool.random(using: &generator) ? .v4 : .v6
            var options: [UInt8] = []
            while options.count < 32, Int.random(in: 0..<6, using: &generator) > 0 {
                switch Int.random(in: 0..<5, using: &generator) {
                case 0: options.append(1)
                case 1, 2: options += Packets.maximumSegmentSize(.random(in: 0...0xFFFF, using: &generator))
                case 3:
                    let count = Int.random(in: 2...8, using: &generator)
                    options += [.random(in: 3...255, using: &generator), UInt8(count)]
                    options += RandomSuperpacket.random(count - 2, using: &generator)
                default: options += RandomSuperpacket.random(.random(in: 1...5, using: &generator), using: &generator)
                }
            }
            while options.count % 4 != 0 || options.count > 40 {
                if options.count > 40 {
                    options.removeLast()
                } else {
                    options.append(.random(in: 0...2, using: &generator))
                }
            }
            var packet = Packets.syn(family, options: options, flags: 2 | .random(in: 0...255, using: &generator))
            // More or fewer words of header than there are.
            let transport = family == .v4 ? 20 : 40
            if Int.random(in: 0..<4, using: &generator) == 0 {
                packet[transport + 12] = .random(in: 0...255, using: &generator)
                packet = NaiveChecksums.complete(packet)
            }
            let mtu = Int.random(in: 0...3000, using: &generator)
            let result = lowered(packet, mtu: mtu)
            if result != packet { changed += 1 }
            #expect(result == NaiveOptions.lowered(packet, mtu: mtu), "seed \(generator.seed): \(packet) \(mtu)")
        }
        #expect(changed > 1000)
    }

    @Test("any bytes behind a checked IP header are read without a trap")
    func anyBytes() {
        var generator = SeededGenerator.fresh()
        for _ in 0..<20_000 {
            var packet = RandomSuperpacket.random(.random(in: 40...120, using: &generator), using: &generator)
            packet[0] = [0x45, 0x46, 0x4F, 0x60].randomElement(using: &generator) ?? 0x45
            packet[packet[0] >> 4 == 4 ? 9 : 6] = [6, 0, 43, 60].randomElement(using: &generator) ?? 6
            let family: IPAddress.Family = packet[0] >> 4 == 4 ? .v4 : .v6
            guard let inner = unsafe InnerPacket(packet.span.bytes),
                unsafe inner.lengthsAreConsistent(in: packet.span.bytes)
            else { continue }
            packet.withMutableBytes { MaximumSegmentSize.lower(in: &$0, family, mtu: 1280) }
        }
    }
}
