// SPDX-License-Identifier: Apache-2.0
import WeftTestSupport

@testable import Weft

/// A flow that mostly sends what can be joined, and now and then breaks a rule.
struct RandomFlow {
    let isV4: Bool
    let isTCP: Bool
    /// Payload bytes of most packets.
    let size: Int
    /// How often a rule is broken: once in so many packets.
    let oddity: Int
    private var header: [UInt8]
    private var identification: UInt16
    private var sequence: UInt32
    private let transport: Int

    init(_ number: Int, size: Int, oddity: Int, using generator: inout some RandomNumberGenerator) {
        isV4 = Bool.random(using: &generator)
        isTCP = Int.random(in: 0..<3, using: &generator) > 0
        self.size = size
        self.oddity = oddity
        transport = isV4 ? 20 : 40
        identification = .random(in: 0...UInt16.max, using: &generator)
        sequence = .random(in: 0...UInt32.max, using: &generator)
        // Few hosts: flows differ by their ports, and some by their family only.
        let source: [UInt8] = isV4 ? [10, 1, 0, 1] : [0xFD] + [UInt8](repeating: 1, count: 15)
        let destination: [UInt8] = isV4 ? [10, 2, 0, 1] : [0xFD] + [UInt8](repeating: 2, count: 15)
        header =
            (isV4 ? [0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 0, 0, 0] : [0x60, 0, 0, 0, 0, 0, 0, 64]) + source + destination
        header[isV4 ? 9 : 6] = isTCP ? 6 : 17
        header += Packets.big(UInt16(1000 + number)) + Packets.big(UInt16(443))
        if isTCP {
            let words = Bool.random(using: &generator) ? 8 : Int.random(in: 5...15, using: &generator)
            header += Packets.big(UInt32(0)) + RandomSuperpacket.random(4, using: &generator)
            header += [UInt8(words) << 4, 0x10, 1, 2, 0, 0, 0, 0]
            header += RandomSuperpacket.random(words * 4 - 20, using: &generator)
        } else {
            header += [0, 0, 0, 0]
        }
    }

    /// The flow's next packet.
    mutating func next(using generator: inout some RandomNumberGenerator) -> [UInt8] {
        let isOdd = Int.random(in: 0..<oddity, using: &generator) == 0
        let count = isOdd && Bool.random(using: &generator) ? Int.random(in: 0...size + 3, using: &generator) : size
        var packet = header + RandomSuperpacket.random(count, using: &generator)
        var isBroken = false
        if isTCP {
            packet.replaceSubrange(transport + 4..<transport + 8, with: Packets.big(sequence))
            sequence &+= UInt32(count)
        }
        if isV4 { packet.replaceSubrange(4..<6, with: Packets.big(identification)) }
        identification &+= 1
        if isOdd { isBroken = oddly(&packet, using: &generator) }
        Self.setLengths(&packet, transport)
        if !isBroken { packet = NaiveChecksums.complete(packet) }
        return isOdd ? Self.damaged(packet, using: &generator) : packet
    }

    /// Whether a packet, however damaged, still belongs to the flow: another address, port or protocol makes another.
    func owns(_ bytes: [UInt8]) -> Bool {
        let addresses = isV4 ? 12..<20 : 8..<40
        guard let packet = NaivePacket(bytes), packet.isV4 == isV4, bytes[addresses] == header[addresses] else {
            return false
        }
        if packet.isFragment { return true }
        let ports = packet.transport..<packet.transport + 4
        return packet.proto == (isTCP ? 6 : 17) && bytes.count >= ports.upperBound
            && bytes[ports] == header[transport..<transport + 4]
    }

    private static func setLengths(_ packet: inout [UInt8], _ transport: Int) {
        if packet[0] >> 4 == 4 {
            packet.replaceSubrange(2..<4, with: Packets.big(UInt16(packet.count)))
        } else {
            packet.replaceSubrange(4..<6, with: Packets.big(UInt16(packet.count - 40)))
        }
        if packet[packet[0] >> 4 == 4 ? 9 : 6] == 17 {
            packet.replaceSubrange(transport + 4..<transport + 6, with: Packets.big(UInt16(packet.count - transport)))
        }
    }

    /// Breaks something; true when the checksums are to be left as they are.
    private mutating func oddly(_ packet: inout [UInt8], using generator: inout some RandomNumberGenerator) -> Bool {
        let flags = transport + 13
        switch Int.random(in: 0..<16, using: &generator) {
        case 0 where isTCP: packet[flags] |= 0x08
        case 1 where isTCP: packet[flags] |= 0x01
        case 2 where isTCP: packet[flags] = .random(in: 0...255, using: &generator)
        case 3 where isTCP:
            // A gap, or the same again.
            sequence &+= Bool.random(using: &generator) ? 1 : 0 &- UInt32(size)
        case 4 where isTCP:
            // From now on: acknowledgement, window or an option.
            let limit = min(header.count - transport, 60)
            let offset =
                [8, 9, 10, 11, 14, 15, 20, limit - 1].filter { $0 < limit }.randomElement(using: &generator) ?? 8
            header[transport + offset] ^= 1
        case 5 where isTCP: header[flags] ^= 0x40
        case 6: header[1] ^= isV4 ? 1 : 0x10
        case 7: header[isV4 ? 8 : 7] ^= 1
        case 8 where isV4: header[6] ^= 0x40
        case 9: identification &+= 1
        case 10: identification &-= 1
        case 11 where !isV4: header[3] ^= 1
        case 12 where !isTCP: return true
        case 13 where isTCP: header[transport + 12] ^= 1
        default: break
        }
        return false
    }

    /// Breaks something of a finished packet.
    private static func damaged(_ packet: [UInt8], using generator: inout some RandomNumberGenerator) -> [UInt8] {
        let isV4 = packet[0] >> 4 == 4
        switch Int.random(in: 0..<14, using: &generator) {
        case 0:
            // A checksum that is wrong, or whatever else a flipped bit makes.
            let offset = Int.random(in: 0..<packet.count, using: &generator)
            let candidate = packet.with(packet[offset] ^ 1 << UInt8.random(in: 0..<8, using: &generator), at: offset)
            return isWhole(candidate) ? candidate : packet
        case 1: return isV4 ? packet.with(packet[10] ^ 1, at: 10) : packet
        case 2:
            // A fragment: the first, or a later one.
            guard isV4 else { return packet }
            let bits = Bool.random(using: &generator) ? [0x20, 0] : [0, 5] as [UInt8]
            return NaiveChecksums.withHeaderChecksum(packet.replaced(6..<8, with: bits))
        case 3: return packet + [0, 0, 0]
        case 4 where isV4:
            var longer = packet
            longer.insert(contentsOf: [1, 1, 1, 0], at: 20)
            longer[0] = 0x46
            longer.replaceSubrange(2..<4, with: Packets.big(UInt16(longer.count)))
            return NaiveChecksums.complete(longer)
        case 5 where !isV4:
            // Destination options, or a fragment header.
            var longer = packet
            let type: UInt8 = Bool.random(using: &generator) ? 60 : 44
            longer.insert(contentsOf: [packet[6], 0, 0, 0, 0, 0, 0, 0], at: 40)
            longer[6] = type
            longer.replaceSubrange(4..<6, with: Packets.big(UInt16(longer.count - 40)))
            return NaiveChecksums.complete(longer)
        case 6: return NaiveChecksums.withHeaderChecksum(packet.with(isV4 ? 1 : 58, at: isV4 ? 9 : 6))
        case 7 where isV4: return NaiveChecksums.withHeaderChecksum(packet.with(packet[6] | 0x80, at: 6))
        default: return packet
        }
    }

    /// Whether a lane would let a packet pass to the coalescer.
    private static func isWhole(_ packet: [UInt8]) -> Bool {
        guard let inner = unsafe InnerPacket(packet.span.bytes) else { return false }
        return unsafe inner.lengthsAreConsistent(in: packet.span.bytes)
    }
}
