// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

@Suite("ICMP packet too big")
struct PacketTooBigTests {
    private static func message(for packet: [UInt8], mtu: Int = 1280, room: Int = 1280) -> [UInt8]? {
        var output = [UInt8](repeating: 0xEE, count: room)
        let count = output.withMutableBytes { unsafe PacketTooBig.write(for: packet.span.bytes, mtu: mtu, into: &$0) }
        return count.map { Array(output[..<$0]) }
    }

    @Test("IPv4: fragmentation needed, in the destination's name, with the MTU, a quote and true checksums")
    func v4() throws {
        for count in [28, 29, 547, 548, 549, 1400, 9000] {
            let packet = Packets.udp(from: .left, count: count)
            let message = try #require(Self.message(for: packet, mtu: 1200))
            let quote = min(count, 548)
            #expect(message.count == 28 + quote)
            #expect(message[0] == 0x45)
            #expect(message.word(2, as: UInt16.self) == UInt16(message.count))
            #expect(message[9] == 1)
            #expect(Array(message[12..<16]) == Packets.host(.right, .v4).bytes)
            #expect(Array(message[16..<20]) == Packets.host(.left, .v4).bytes)
            #expect(Array(message[20..<22]) == [3, 4])
            #expect(message.word(24, as: UInt32.self) == 1200)
            #expect(Array(message[28...]) == Array(packet[..<quote]))
            #expect(Reference.sum(message[..<20]) == 0xFFFF)
            #expect(Reference.sum(message[20...]) == 0xFFFF)
        }
    }

    @Test("IPv6: packet too big, at most 1,280 bytes long, never of less than 1,280")
    func v6() throws {
        for (count, mtu) in [(48, 1400), (1231, 1400), (1232, 1280), (1233, 1000), (1500, 0), (9000, 70_000)] {
            let packet = Packets.udp(from: .left, .v6, count: count)
            let message = try #require(Self.message(for: packet, mtu: mtu))
            let quote = min(count, 1232)
            #expect(message.count == 48 + quote)
            #expect(message[0] >> 4 == 6)
            #expect(message.word(4, as: UInt16.self) == UInt16(message.count - 40))
            #expect(message[6] == 58)
            #expect(Array(message[8..<24]) == Packets.host(.right, .v6).bytes)
            #expect(Array(message[24..<40]) == Packets.host(.left, .v6).bytes)
            #expect(Array(message[40..<42]) == [2, 0])
            #expect(message.word(44, as: UInt32.self) == UInt32(max(mtu, 1280)))
            #expect(Array(message[48...]) == Array(packet[..<quote]))
            let pseudo = Reference.pseudoHeader(
                Array(message[8..<24]), Array(message[24..<40]), length: message.count - 40, proto: 58)
            #expect(Reference.sum(pseudo + message[40...]) == 0xFFFF)
        }
    }

    @Test("an MTU that no field can hold is cut to it")
    func strangeMTU() throws {
        let packet = Packets.udp(from: .left)
        #expect(try #require(Self.message(for: packet, mtu: .max)).word(24, as: UInt32.self) == 0xFFFF)
        #expect(try #require(Self.message(for: packet, mtu: -1)).word(24, as: UInt32.self) == 0)
        let v6 = Packets.udp(from: .left, .v6)
        #expect(try #require(Self.message(for: v6, mtu: .max)).word(44, as: UInt32.self) == .max)
        #expect(try #require(Self.message(for: v6, mtu: .min)).word(44, as: UInt32.self) == 1280)
    }

    @Test("addresses in whose name, or to whom, nothing may be sent")
    func addresses() throws {
        let good = Packets.host(.left, .v4)
        for text in ["0.0.0.0", "224.0.0.1", "239.1.2.3", "255.255.255.255", "127.0.0.1"] {
            let bad = try #require(IPAddress(text))
            #expect(Self.message(for: Packets.udp(bad, good, count: 100)) == nil, "from \(text)")
            if text != "127.0.0.1" {
                #expect(Self.message(for: Packets.udp(good, bad, count: 100)) == nil, "to \(text)")
            }
        }
        let good6 = Packets.host(.left, .v6)
        for text in ["::", "ff02::1", "ff0e::1:2"] {
            let bad = try #require(IPAddress(text))
            #expect(Self.message(for: Packets.udp(bad, good6, count: 100)) == nil, "from \(text)")
            #expect(Self.message(for: Packets.udp(good6, bad, count: 100)) == nil, "to \(text)")
        }
    }

    @Test("IPv4 fragments: about the first only")
    func fragments() {
        let packet = Packets.udp(from: .left)
        for (flags, isAnswered) in [(0x2000, true), (0x4000, true), (0x2001, false), (0x0001, false), (0x1FFF, false)] {
            let fragment = packet.replaced(6..<8, with: Packets.big(UInt16(flags)))
            #expect((Self.message(for: fragment) != nil) == isAnswered, "\(flags)")
        }
    }

    @Test("ICMP: about queries and their answers, never about errors or redirects")
    func icmp() {
        let packet = Packets.udp(from: .left).with(1, at: 9)
        for type in UInt8(0)...255 {
            let isAnswered = [0, 8, 13, 14].contains(type)
            #expect((Self.message(for: packet.with(type, at: 20)) != nil) == isAnswered, "type \(type)")
        }
        // The type stands behind the options that the header's length tells of.
        let optioned = packet.with(0x46, at: 0)
        #expect(Self.message(for: optioned.with(8, at: 20).with(3, at: 24)) == nil)
        #expect(Self.message(for: optioned.with(3, at: 20).with(8, at: 24)) != nil)
        #expect(Self.message(for: Array(packet[..<20]).with(20, at: 3)) == nil)

        let packet6 = Packets.udp(from: .left, .v6).with(58, at: 6)
        for type in UInt8(0)...255 {
            let isAnswered = type >= 128 && type != 137
            #expect((Self.message(for: packet6.with(type, at: 40)) != nil) == isAnswered, "type \(type)")
        }
        #expect(Self.message(for: Array(packet6[..<40]).replaced(4..<6, with: [0, 0])) == nil)
    }

    @Test("IPv6 extension headers are walked to an ICMP message, and the walk ends")
    func extensionHeaders() {
        let base = Packets.udp(from: .left, .v6, count: 200)
        for (type, isAnswered) in [(1, false), (128, true), (137, false)] {
            for first in [0, 43, 60] as [UInt8] {
                // A header of 8 bytes, one of 16, then ICMP.
                var packet = base.with(first, at: 6).replaced(40..<48, with: [60, 0, 0, 0, 0, 0, 0, 0])
                packet = packet.replaced(48..<64, with: [58, 1] + [UInt8](repeating: 0, count: 14))
                #expect((Self.message(for: packet.with(UInt8(type), at: 64)) != nil) == isAnswered)
            }
            let fragment = base.with(44, at: 6).replaced(40..<48, with: [58, 0xFF, 0, 1, 0, 0, 0, 9])
            #expect((Self.message(for: fragment.with(UInt8(type), at: 48)) != nil) == isAnswered)
            // What stands behind a later fragment's header is payload.
            #expect(Self.message(for: fragment.with(8, at: 43).with(UInt8(type), at: 48)) != nil)
        }
        // Lengths beyond the packet's end, and a list without one.
        #expect(Self.message(for: base.with(0, at: 6).replaced(40..<42, with: [58, 0xFF])) == nil)
        for count in 48..<80 {
            let packet = Packets.udp(from: .left, .v6, count: count).with(0, at: 6)
            _ = Self.message(for: packet.replaced(40..<count, with: [UInt8](repeating: 0, count: count - 40)))
        }
    }

    @Test("what isn't a whole IP packet, and no room")
    func malformed() {
        for packet in [Packets.udp(from: .left, count: 60), Packets.udp(from: .left, .v6, count: 60)] {
            #expect(Self.message(for: packet, room: 1280) != nil)
            #expect(Self.message(for: packet, room: 1279) == nil)
            for count in 0..<60 { #expect(Self.message(for: Array(packet[..<count])) == nil) }
            for version in [0, 1, 2, 3, 5, 7, 15] as [UInt8] {
                #expect(Self.message(for: packet.with(version << 4 | 5, at: 0)) == nil)
            }
        }
        #expect(Self.message(for: Packets.udp(from: .left).with(0x44, at: 0)) == nil)
    }
}
