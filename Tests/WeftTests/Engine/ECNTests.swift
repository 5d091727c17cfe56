// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

@Suite("ECN and DSCP cross the tunnel")
struct ECNTests {
    /// Expedited forwarding (RFC 3246), and none.
    private static let dscps: [UInt8] = [0b1011_1000, 0]

    private static let modes = [
        (ECNMode.compatibility, false), (.normal, false), (.compatibility, true), (.normal, true),
    ]

    private static func sender(_ end: End, _ mode: ECNMode, copiesDSCP: Bool) throws -> Engine {
        var configuration = end.configuration
        configuration.copiesDSCP = copiesDSCP
        let engine = try Engine(configuration)
        try engine.add(end.network)
        try engine.install(Keys.pair(.left, epoch: 1), for: .vni(End.vni), at: End.start)
        engine.setECNMode(of: .vni(End.vni), to: mode)
        return engine
    }

    private static func expected(_ inner: UInt8, _ mode: ECNMode, copiesDSCP: Bool) -> UInt8 {
        (copiesDSCP ? inner & 0xFC : 0) | (mode == .normal ? inner & 3 : 0)
    }

    @Test("outer headers have what the mode and the file let them have", arguments: modes)
    func outwards(mode: ECNMode, copiesDSCP: Bool) throws {
        for inner in IPAddress.Family.allCases {
            for outer in IPAddress.Family.allCases {
                var end = End(.left)
                end.outer = outer
                var lane = try Lane(try Self.sender(end, mode, copiesDSCP: copiesDSCP))
                for trafficClass in Self.dscps.flatMap({ dscp in NaiveECN.codepoints.map { dscp | $0 } }) {
                    let packet = Packets.marked(Packets.udp(from: .left, inner), trafficClass)
                    let expected = Self.expected(trafficClass, mode, copiesDSCP: copiesDSCP)
                    let frame = lane.seal(packet, as: .frame, at: End.start)
                    #expect(frame.bytes.dropFirst(14).first.map { $0 >> 4 } == (outer == .v4 ? 4 : 6))
                    let header = Array(frame.bytes[14..<34])
                    if outer == .v4 {
                        #expect(header[1] == expected && Reference.sum(header) == 0xFFFF)
                    } else {
                        #expect(header.word(0, as: UInt32.self) == 0x6000_0000 | UInt32(expected) << 20)
                    }
                    #expect(lane.sealInPlace(packet, as: .frame, at: End.start).bytes[14..<16] == frame.bytes[14..<16])
                    #expect(lane.lastTrafficClass == expected)
                }
            }
        }
    }

    @Test("runs are parted by traffic class, and a superpacket's segments have its own", arguments: modes)
    func runs(mode: ECNMode, copiesDSCP: Bool) throws {
        var generator = SeededGenerator.fresh()
        var lane = try Lane(try Self.sender(End(.left), mode, copiesDSCP: copiesDSCP))
        for _ in 0..<50 {
            var batch = FromOverlay()
            var expected: [(trafficClass: UInt8, count: Int)] = []
            for _ in 0..<Int.random(in: 1...40, using: &generator) {
                let inner = (Self.dscps.randomElement() ?? 0) | (NaiveECN.codepoints.randomElement() ?? 0)
                var packet = Packets.udp(from: .left, Bool.random(using: &generator) ? .v4 : .v6, count: 1048)
                packet = NaiveChecksums.partial(Packets.marked(packet, inner))
                let isCut = Bool.random(using: &generator)
                let header = packet[0] >> 4 == 4 ? 28 : 48
                let segments = isCut ? (1048 - header + 99) / 100 : 1
                let offload = Offload(
                    kind: .udp, segmentSize: 100, needsChecksum: true, checksumStart: UInt16(header - 8),
                    checksumOffset: 6)
                batch.append(packet, isCut ? offload : .none)
                expected.append((Self.expected(inner, mode, copiesDSCP: copiesDSCP), segments))
            }
            var datagrams = ToUnderlay()
            lane.encapsulate(&batch, into: &datagrams, at: End.start)
            let classes = (0..<datagrams.runs.count).flatMap { index in
                [UInt8](repeating: datagrams.runs[index].trafficClass, count: datagrams.runs[index].count)
            }
            #expect(
                classes == expected.flatMap { [UInt8](repeating: $0.trafficClass, count: $0.count) },
                "seed \(generator.seed)")
        }
        // What is equal in all else is one run for each change of class.
        var batch = FromOverlay()
        for ecn in [2, 2, 3, 3, 2] as [UInt8] { batch.append(Packets.marked(Packets.udp(from: .left), ecn)) }
        var datagrams = ToUnderlay()
        lane.encapsulate(&batch, into: &datagrams, at: End.start)
        #expect((0..<datagrams.runs.count).map { datagrams.runs[$0].count } == (mode == .normal ? [2, 2, 1] : [5]))
    }

    @Test("keep-alives and probes are Not-ECT")
    func ours() throws {
        var end = End(.left)
        end.keepAlive = .seconds(1)
        var lane = try Lane(try Self.sender(end, .normal, copiesDSCP: true))
        var datagrams = ToUnderlay()
        lane.keepAlives(into: &datagrams, at: End.start)
        let place = AddressPair(end.remote)
        #expect(
            lane.append(
                PathProbe(.question, token: 1, length: 16), to: place, of: .vni(End.vni), into: &datagrams,
                at: End.start))
        #expect(datagrams.datagrams.count == 2)
        #expect((0..<datagrams.runs.count).allSatisfy { datagrams.runs[$0].trafficClass == 0 })
    }

    @Test("what comes in has the mark that RFC 6040's table says, in batches and frames", arguments: NaiveECN.pairs)
    func inwards(inner: UInt8, outer: UInt8) throws {
        let combined = NaiveECN.combined(inner: inner, outer: outer)
        let around = Self.dscps[0] | outer
        for family in IPAddress.Family.allCases {
            for outerFamily in IPAddress.Family.allCases {
                var ends = (left: End(.left), right: End(.right))
                (ends.left.outer, ends.right.outer) = (outerFamily, outerFamily)
                var sender = try Lane(try ends.left.engine())
                let engine = try ends.right.engine()
                var lane = try Lane(engine)
                let plain = Packets.udp(from: .left, family)
                let packet = Packets.marked(plain, Self.dscps[0] | inner)
                let expected = combined.map { Packets.marked(plain, Self.dscps[0] | $0) }

                var batch = FromUnderlay()
                batch.append(
                    sender.seal(packet, as: .datagram, at: End.start).bytes, from: ends.left.local.address,
                    trafficClass: around)
                var packets = ToOverlay()
                lane.decapsulate(&batch, into: &packets, at: End.start)
                #expect(try packets.delivered(from: batch) == (expected.map { [$0] } ?? []))

                for inPlace in [false, true] {
                    var frame = sender.seal(packet, as: .frame, at: End.start).bytes
                    frame.replaceSubrange(14..., with: Packets.marked(Array(frame[14...]), around))
                    let opened =
                        inPlace
                        ? lane.openInPlace(frame, as: .frame, at: End.start)
                        : lane.open(frame, as: .frame, at: End.start)
                    #expect(opened.outcome == (expected == nil ? "dropped ceOnNotECT" : "forward"))
                    if let expected { #expect(opened.bytes == expected) }
                }
                let totals = engine.totals()
                #expect(totals.drops == (expected == nil ? [.ceOnNotECT: 3] : [:]))
                #expect(totals.rxPackets == (expected == nil ? 0 : 3))
                #expect(totals.fromUnderlay == 3)
            }
        }
    }

    /// TCP segments of one flow that follow one another, with ECT(0).
    private static func segments(_ count: Int, _ family: IPAddress.Family) -> [[UInt8]] {
        let payload = (0..<100 * count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        var packet = Array(Packets.udp(from: .left, family, count: family == .v4 ? 28 : 48).dropLast(4))
        packet[family == .v4 ? 9 : 6] = IPProtocol.tcp
        packet += Packets.big(7 as UInt32) + Packets.big(9 as UInt32) + [0x50, 0x10, 1, 2, 0, 0, 0, 0] + payload
        if family == .v4 {
            packet.replaceSubrange(2..<4, with: Packets.big(UInt16(packet.count)))
        } else {
            packet.replaceSubrange(4..<6, with: Packets.big(UInt16(packet.count - 40)))
        }
        return NaiveCutter.cut(Packets.marked(packet, 0b10), segmentSize: 100)
    }

    @Test("segments are joined where their marks are equal, and nowhere else", arguments: IPAddress.Family.allCases)
    func superpackets(family: IPAddress.Family) throws {
        var generator = SeededGenerator.fresh()
        for _ in 0..<40 {
            var sender = try Lane(try End(.left).engine())
            var lane = try Lane(try End(.right).engine())
            let segments = Self.segments(24, family)
            // Buffers of up to four datagrams that the kernel merged, each with one class.
            var batch = FromUnderlay(capacity: 24)
            var expected: [[UInt8]] = []
            var groups: [(mark: UInt8, count: Int)] = []
            var next = 0
            while next < segments.count {
                let count = min(Int.random(in: 1...4, using: &generator), segments.count - next)
                let outer = NaiveECN.codepoints.randomElement(using: &generator) ?? 0
                let mark = NaiveECN.combined(inner: 0b10, outer: outer) ?? 0
                let merged = segments[next..<next + count].flatMap {
                    sender.seal($0, as: .datagram, at: End.start).bytes
                }
                batch.append(
                    merged, from: End.Side.left.underlay(.v4), trafficClass: outer, segmentSize: merged.count / count)
                expected += segments[next..<next + count].map { Packets.marked($0, mark) }
                if groups.last?.mark == mark {
                    groups[groups.count - 1].count += count
                } else {
                    groups.append((mark, count))
                }
                next += count
            }
            var packets = ToOverlay()
            lane.decapsulate(&batch, into: &packets, at: End.start)
            #expect((0..<packets.groups.count).map { packets.groups[$0].count } == groups.map(\.count))
            #expect(try packets.delivered(from: batch) == expected, "seed \(generator.seed)")
        }
    }

    @Test("the mode is a network's own, begins with compatibility, and stays while the network changes")
    func networks() throws {
        let end = End(.left)
        let engine = try end.engine()
        func outer() throws -> UInt8 {
            var lane = try Lane(engine)
            return lane.seal(Packets.marked(Packets.udp(from: .left), 0b10), as: .frame, at: End.start).bytes[15]
        }
        #expect(try outer() == 0)
        engine.setECNMode(of: .vni(99), to: .normal)
        #expect(try outer() == 0)
        engine.setECNMode(of: .vni(End.vni), to: .normal)
        #expect(try outer() == 0b10)
        var changes = NetworkChanges()
        changes.changed = [end.network]
        try engine.apply(changes)
        #expect(try outer() == 0b10)
        engine.setECNMode(of: .vni(End.vni), to: .compatibility)
        #expect(try outer() == 0)
    }
}
