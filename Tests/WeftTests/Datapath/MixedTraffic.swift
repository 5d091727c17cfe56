// SPDX-License-Identifier: Apache-2.0
import WeftTestSupport

@testable import Weft

/// Flows from left to right of every kind: TCP and UDP, superpackets and single packets, small and large, both families.
struct MixedTraffic {
    /// What an overlay hands over, and the packets that must come out on the other side.
    struct Item {
        let flow: Int
        let packet: [UInt8]
        let offload: Offload
        let expected: [[UInt8]]
    }

    private struct Flow {
        let family: IPAddress.Family
        let isTCP: Bool
        let isBulk: Bool
        var identification: UInt16 = 0xFFF0
        var sequence: UInt32 = 0xFFFF_0000
    }

    private var flows: [Flow]
    var flowCount: Int { flows.count }

    init() {
        flows = []
        for family in [IPAddress.Family.v4, .v6] {
            for isTCP in [true, false] {
                for isBulk in [true, false, false] { flows.append(Flow(family: family, isTCP: isTCP, isBulk: isBulk)) }
            }
        }
    }

    /// A superpacket of some flow, or a packet, complete or with its checksum to be finished.
    mutating func next(using generator: inout SeededGenerator) -> Item {
        let number = Int.random(in: flows.indices, using: &generator)
        let flow = flows[number]
        let size = flow.isBulk ? 200 : Int.random(in: 1...600, using: &generator)
        let count = flow.isBulk ? Int.random(in: 1...6_000, using: &generator) : size
        let header = header(of: flow, number, count: count, using: &generator)
        let packet = header + RandomSuperpacket.random(count, using: &generator)
        let transport = flow.family == .v4 ? 20 : 40
        var offload = Offload(
            kind: flow.isTCP ? .tcp : .udp, segmentSize: UInt16(size), needsChecksum: true,
            checksumStart: UInt16(transport), checksumOffset: flow.isTCP ? 16 : 6)
        let segments = (count + size - 1) / size
        flows[number].identification &+= UInt16(segments)
        flows[number].sequence &+= UInt32(count)
        if flow.isBulk {
            let whole = NaiveChecksums.partial(packet)
            return Item(
                flow: number, packet: whole, offload: offload, expected: NaiveCutter.cut(whole, segmentSize: size))
        }
        let complete = NaiveChecksums.complete(packet)
        guard Bool.random(using: &generator) else {
            return Item(flow: number, packet: complete, offload: .none, expected: [complete])
        }
        offload.kind = .none
        offload.segmentSize = 0
        return Item(flow: number, packet: NaiveChecksums.partial(packet), offload: offload, expected: [complete])
    }

    private func header(
        of flow: Flow, _ number: Int, count: Int, using generator: inout SeededGenerator
    ) -> [UInt8] {
        let transportLength = flow.isTCP ? 32 : 8
        let source = Packets.host(.left, flow.family).bytes
        let destination = Packets.host(.right, flow.family).bytes
        let proto: UInt8 = flow.isTCP ? 6 : 17
        let length = UInt16(transportLength + count)
        var header: [UInt8]
        switch flow.family {
        case .v4:
            header = [0x45, 0] + Packets.big(length + 20) + Packets.big(flow.identification)
            header += [0x40, 0, 64, proto, 0, 0] + source + destination
        case .v6: header = [0x60, 0, 0, 0] + Packets.big(length) + [proto, 64] + source + destination
        }
        header += Packets.big(UInt16(1000 + number)) + Packets.big(443 as UInt16)
        guard flow.isTCP else { return header + Packets.big(length) + [0, 0] }
        // A push now and then.
        let flags: UInt8 = Int.random(in: 0..<8, using: &generator) == 0 ? 0x18 : 0x10
        return header + Packets.big(flow.sequence) + [0, 0, 0, 9, 0x80, flags, 2, 0, 0, 0, 0, 0]
            + [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]
    }
}
