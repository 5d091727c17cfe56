// SPDX-License-Identifier: Apache-2.0
@testable import Weft

/// IP packets from the overlay (layer 3): sealed across, in place and in a batch, and opened again.
///
/// The first byte steers: whether the packet is given addresses and lengths that lead to the peer, and its framing.
final class EncapsulatePacket {
    private let outers: [Ends]
    private var fromOverlay = FromOverlay(capacity: 4, room: 0)
    private var toUnderlay = ToUnderlay(capacity: 4, room: 0)

    init() throws { outers = try [.v4, .v6].map { try Ends(layer2: false, outer: $0) } }

    func run(_ input: RawSpan) {
        let control = input.control(0)
        var packet = input.array(from: 1)
        if control & 1 != 0 { Ends.route(&packet, control & 2 == 0 ? .v4 : .v6) }
        // Padding behind the packet.
        packet += [UInt8](repeating: 0, count: Int(control >> 5))
        let ends = outers[Int(control >> 2 & 1)]
        let framing: Lane.Framing = control & 8 == 0 ? .datagram : .frame

        let across = Encapsulation.seal(packet, ends, framing, inPlace: false)
        let inPlace = Encapsulation.seal(packet, ends, framing, inPlace: true)
        check(across == inPlace, "across: \(across), in place: \(inPlace)")
        guard across.outcome == "forward" else { return }
        check(isWholePacket(packet), "sealed no whole packet: \(packet)")
        let opened = Encapsulation.open(across.bytes, ends, framing)
        check(opened.bytes == packet, "opened as \(opened)")
        if framing == .datagram { check(sealInBatch(packet, ends) == across.bytes, "the batch differs") }
    }

    private func sealInBatch(_ packet: [UInt8], _ ends: Ends) -> [UInt8] {
        ends.reset()
        fromOverlay.removeAll()
        toUnderlay.removeAll()
        guard packet.count <= FromOverlay.largestPacket else { return [] }
        fromOverlay.append { (space: inout MutableRawSpan) in
            unsafe space.copy(packet.span.bytes, to: 0)
            return packet.count
        }
        ends.leftLane.encapsulate(&fromOverlay, into: &toUnderlay, at: Ends.start)
        check(toUnderlay.runs.count == 1, "\(toUnderlay.runs.count) runs")
        return Self.bytes(toUnderlay)
    }

    private static func bytes(_ batch: borrowing ToUnderlay) -> [UInt8] {
        batch.arena.bytes.array(batch.runs[0].place.range)
    }

    static func seeds() -> [[UInt8]] {
        [IPAddress.Family.v4, .v6].flatMap { family in
            [48, 49, 100, 1400].flatMap { count in
                [0, 1, 3, 5, 9, 13, 0x29].map { [$0] + Ends.packet(family, count: count) }
            } + [[0] + Ends.packet(family, count: 60, proto: 58)]
        }
    }
}

/// Ethernet frames from the overlay (layer 2): sealed, answered (ARP, neighbour solicitations) or dropped.
final class EncapsulateFrame {
    private let outers: [Ends]

    init() throws { outers = try [.v4, .v6].map { try Ends(layer2: true, outer: $0) } }

    func run(_ input: RawSpan) {
        let control = input.control(0)
        var frame = input.array(from: 1)
        if control & 1 != 0 { Self.fixSolicitation(&frame) }
        if control & 2 != 0, frame.count >= 54 {
            var packet = Array(frame[14...])
            let family: IPAddress.Family = control & 16 == 0 ? .v4 : .v6
            Ends.route(&packet, family)
            frame = frame[..<12] + (family == .v4 ? [8, 0] : [0x86, 0xDD]) + packet
        }
        let ends = outers[Int(control >> 2 & 1)]
        let framing: Lane.Framing = control & 8 == 0 ? .datagram : .frame
        let across = Encapsulation.seal(frame, ends, framing, inPlace: false)
        let inPlace = Encapsulation.seal(frame, ends, framing, inPlace: true)
        check(across == inPlace, "across: \(across), in place: \(inPlace)")
        switch across.outcome {
        case "forward":
            let opened = Encapsulation.open(across.bytes, ends, framing)
            check(opened.bytes.dropFirst(14) == frame.dropFirst(14), "opened as \(opened)")
        case "reply":
            checkReply(across.bytes, to: frame)
        default: break
        }
    }

    /// A reply goes back to who asked, from the gateway's address, with true checksums.
    private func checkReply(_ reply: [UInt8], to frame: [UInt8]) {
        check(Array(reply[6..<12]) == [2, 0, 0, 0, 0, 1], "not from us: \(reply)")
        check(reply[12..<14] == frame[12..<14], "another protocol: \(reply)")
        guard reply[12] == 0x86 else {
            check(reply.count == 42 && Array(reply[38..<42]) == Array(frame[28..<32]), "not to who asked: \(reply)")
            check(Array(reply[28..<32]) == Array(frame[38..<42]), "not about what was asked: \(reply)")
            return
        }
        check(reply.count == 86 && Array(reply[38..<54]) == Array(frame[22..<38]), "not to who asked: \(reply)")
        check(Array(reply[62..<78]) == Array(frame[62..<78]), "not about what was asked: \(reply)")
        let pseudo = reply.sum(22..<54, from: UInt32(reply.count - 54 + 58))
        check(reply.sum(54..<86, from: pseudo) == 0xFFFF, "wrong checksum: \(reply)")
    }

    /// Gives a frame that looks like a solicitation its true length and checksum.
    private static func fixSolicitation(_ frame: inout [UInt8]) {
        guard frame.count >= 78, frame.count < 0xFFFF, frame[12] == 0x86 else { return }
        frame.put(UInt16(frame.count - 54), at: 18)
        frame.put(0x3AFF as UInt16, at: 20)
        frame.put(0 as UInt16, at: 56)
        let pseudo = frame.sum(22..<54, from: UInt32(frame.count - 54 + 58))
        frame.put(~UInt16(frame.sum(54..<frame.count, from: pseudo)), at: 56)
    }

    static func seeds() -> [[UInt8]] {
        let macs: [UInt8] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9]
        let arp: [UInt8] =
            macs + [8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9, 10, 1, 0, 9, 0, 0, 0, 0, 0, 0, 10, 2, 0, 1]
        var solicitation = macs + [0x86, 0xDD] + Ends.packet(.v6, count: 72, proto: 58)
        solicitation[21] = 255
        solicitation.put(0x8700_0000_0000_0000 as UInt64, at: 54)
        solicitation.put(0xFD00_0002_0000_0000 as UInt64, at: 62)
        solicitation.put(0x0101_0200_0000_0009 as UInt64, at: 78)
        let v4 = macs + [8, 0] + Ends.packet(.v4, count: 60)
        let v6 = macs + [0x86, 0xDD] + Ends.packet(.v6, count: 60)
        var seeds: [[UInt8]] = [[0] + arp, [0] + arp + [UInt8](repeating: 0, count: 18)]
        for control in [0, 1, 4, 8, 12] as [UInt8] {
            seeds += [[control] + solicitation, [control] + v4, [control] + v6]
        }
        seeds += [[2] + v4, [18] + v6]
        return seeds
    }
}

/// What both targets do with an engine.
private enum Encapsulation {
    static func seal(
        _ packet: [UInt8], _ ends: Ends, _ framing: Lane.Framing, inPlace: Bool
    ) -> Passed {
        ends.reset()
        let before = ends.left.totals()
        let front = 128
        var buffer = [UInt8](repeating: 0xC5, count: packet.count + front * 2)
        let outcome: Lane.Outcome
        if inPlace {
            buffer.replaceSubrange(front..<front + packet.count, with: packet)
            outcome = buffer.withMutableBytes {
                ends.leftLane.encapsulate(
                    inPlace: &$0, packet: front..<front + packet.count, as: framing, at: Ends.start)
            }
        } else {
            outcome = buffer.withMutableBytes {
                unsafe ends.leftLane.encapsulate(packet.span.bytes, into: &$0, as: framing, at: Ends.start)
            }
        }
        let after = ends.left.totals()
        check(after.fromOverlay == before.fromOverlay + 1, "not accounted for: \(outcome)")
        check(after.fromUnderlay == before.fromUnderlay, "counted for the underlay: \(outcome)")
        // Nothing is written beyond what the longest result needs.
        check(buffer.suffix(front - 44).allSatisfy { $0 == 0xC5 }, "wrote behind the packet: \(outcome)")
        return Passed(outcome, buffer)
    }

    static func open(_ sealed: [UInt8], _ ends: Ends, _ framing: Lane.Framing) -> Passed {
        var output = [UInt8](repeating: 0, count: sealed.count + 64)
        let outcome = output.withMutableBytes {
            unsafe ends.rightLane.decapsulate(
                sealed.span.bytes, from: IPAddress(v4: 0xC000_0201), into: &$0, as: framing, at: Ends.start)
        }
        return Passed(outcome, output)
    }
}
