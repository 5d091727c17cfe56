// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

@Suite("Superpackets are cut as the RFCs say")
struct SuperpacketCuttingTests {
    /// Cuts where the superpacket lies, as a lane does, and takes each segment before the next is cut.
    static func cut(_ packet: [UInt8], _ offload: Offload, at start: Int) throws(DropReason) -> [[UInt8]] {
        var buffer = [UInt8](repeating: 0xEE, count: start) + packet + [UInt8](repeating: 0xEE, count: 40)
        guard let inner = unsafe InnerPacket(packet.span.bytes),
            unsafe inner.lengthsAreConsistent(in: packet.span.bytes)
        else { throw .overlayMalformed }
        let plan = unsafe try SegmentPlan(packet.span.bytes, offload, inner)
        let segmenter = unsafe Segmenter(plan, inner, in: buffer.span.bytes, at: start)
        var segments: [[UInt8]] = []
        for index in 0..<plan.count {
            let place = buffer.withMutableBytes { segmenter.cut(index, in: &$0) }
            #expect(place.count == plan.length(of: index))
            segments.append(Array(buffer[place.range]))
        }
        // Nothing in front of it or behind it was touched.
        #expect(buffer.prefix(start).allSatisfy { $0 == 0xEE } && buffer.suffix(40).allSatisfy { $0 == 0xEE })
        return segments
    }

    @Test("random superpackets make the same segments as the naive cutter, all checksums right")
    func reference() throws {
        var generator = SeededGenerator.fresh()
        var segments = 0
        for _ in 0..<Extent.superpackets {
            let random = RandomSuperpacket(using: &generator)
            let expected = NaiveCutter.cut(random.packet, segmentSize: Int(random.offload.segmentSize))
            let actual = try Self.cut(random.packet, random.offload, at: .random(in: 0...70, using: &generator))
            guard actual == expected, actual.allSatisfy({ NaivePacket($0)?.checksumsAreRight ?? false }) else {
                Issue.record("seed \(generator.seed): \(random.packet.count) bytes, \(random.offload)")
                return
            }
            segments += actual.count
        }
        #expect(segments > Extent.superpackets)
    }

    @Test("an offload that contradicts its packet is refused; what is taken is cut right; nothing traps")
    func contradictions() throws {
        var generator = SeededGenerator.fresh()
        var refused = 0
        for _ in 0..<Extent.superpackets {
            var random = RandomSuperpacket(using: &generator)
            Self.damage(&random, using: &generator)
            guard let parsed = NaivePacket(random.packet), parsed.totalLength <= random.packet.count,
                parsed.totalLength >= parsed.transport || !parsed.isV4
            else {
                // Refused as a packet, whatever its offload; but still no trap.
                _ = try? Self.cut(random.packet, random.offload, at: 0)
                continue
            }
            let fits = Self.fits(random.offload, parsed)
            do throws(DropReason) {
                let segments = try Self.cut(random.packet, random.offload, at: 3)
                let expected = NaiveCutter.cut(random.packet, segmentSize: Int(random.offload.segmentSize))
                // With extension headers, the sum that the packet came with counts; damage may have hit it.
                let isSame = parsed.hasOptions && !parsed.isV4 ? segments.count == expected.count : segments == expected
                #expect(fits && isSame, "seed \(generator.seed): \(random.offload)")
            } catch {
                refused += 1
                #expect(!fits && error == .offloadMalformed, "seed \(generator.seed): \(error) \(random.offload)")
            }
        }
        #expect(refused > Extent.superpackets / 10)
    }

    /// Whether an offload speaks of this packet: the right transport where the checksum begins, its field, a size, a
    /// payload; all of the packet, and no fragment.
    private static func fits(_ offload: Offload, _ packet: NaivePacket) -> Bool {
        guard offload.needsChecksum, offload.segmentSize > 0, !packet.isFragment,
            packet.totalLength == packet.bytes.count, packet.transportLength != nil,
            packet.headerLength < packet.bytes.count, packet.headerLength <= 192,
            Int(offload.checksumStart) == packet.transport
        else { return false }
        switch offload.kind {
        case .tcp: return packet.isTCP && offload.checksumOffset == 16
        case .udp: return packet.isUDP && offload.checksumOffset == 6
        case .none: return false
        }
    }

    /// Changes a few things of a superpacket or its offload, or all of them.
    private static func damage(_ random: inout RandomSuperpacket, using generator: inout SeededGenerator) {
        switch Int.random(in: 0..<8, using: &generator) {
        case 0: random.offload.kind = [.none, .tcp, .udp].randomElement(using: &generator) ?? .none
        case 1: random.offload.segmentSize = [0, 1, 0xFFFF].randomElement(using: &generator) ?? 0
        case 2: random.offload.checksumStart = .random(in: 0...80, using: &generator)
        case 3: random.offload.checksumOffset = .random(in: 0...20, using: &generator)
        case 4: random.offload.needsChecksum = false
        case 5:
            random.offload = Offload(
                kind: [.none, .tcp, .udp].randomElement(using: &generator) ?? .none,
                segmentSize: .random(in: 0...UInt16.max, using: &generator),
                needsChecksum: .random(using: &generator),
                checksumStart: .random(in: 0...UInt16.max, using: &generator),
                checksumOffset: .random(in: 0...UInt16.max, using: &generator))
        case 6: random.packet.removeLast(.random(in: 0..<random.packet.count, using: &generator))
        default: break
        }
        if Bool.random(using: &generator) {
            for _ in 0..<Int.random(in: 1...4, using: &generator) where !random.packet.isEmpty {
                let offset = Int.random(in: 0..<min(random.packet.count, 80), using: &generator)
                random.packet[offset] = .random(in: 0...255, using: &generator)
            }
        }
        // Bytes can't become segments without end.
        let smallest = UInt16(clamping: random.packet.count / 300)
        if random.offload.segmentSize > 0 { random.offload.segmentSize = max(random.offload.segmentSize, smallest) }
    }

    @Test("a checksum is finished where it stands within the packet and behind its IP header, and nowhere else")
    func checksums() throws {
        var generator = SeededGenerator.fresh()
        for _ in 0..<Extent.superpackets {
            let random = RandomSuperpacket(using: &generator)
            var packet = random.packet
            var offload = random.offload
            offload.kind = .none
            let isWild = Int.random(in: 0..<4, using: &generator) == 0
            if isWild {
                offload.checksumStart = .random(in: 0...UInt16(clamping: packet.count + 3), using: &generator)
                offload.checksumOffset = .random(in: 0...70, using: &generator)
            }
            let header = packet[0] >> 4 == 4 ? Int(packet[0] & 15) * 4 : 40
            let start = Int(offload.checksumStart)
            let isWithin = start >= header && start + Int(offload.checksumOffset) + 2 <= packet.count
            var isTaken = true
            packet.withMutableBytes { bytes in
                do { try Segmenter.finishChecksum(offload, of: &bytes) } catch { isTaken = false }
            }
            guard isTaken == isWithin, isWild || packet == NaiveChecksums.complete(random.packet),
                isTaken || packet == random.packet
            else {
                Issue.record("seed \(generator.seed): \(offload)")
                return
            }
        }
    }
}
