// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

@Suite("Bad input costs one counter")
struct BadInputTests {
    /// Feeds datagrams or frames to a fresh receiver and expects that each is dropped for one reason, that nothing else
    /// changes, and that the true one still opens behind them.
    private func expectDropped(
        _ bad: [(input: [UInt8], name: String)], _ shape: Shape, good: [UInt8], ways: [Scenario.Way],
        reason: (Int) -> Set<DropReason>
    ) throws {
        for way in ways {
            let engine = try shape.end(.right).engine()
            let source = End.Side.left.underlay(shape.outer)
            func run(_ input: [UInt8]) throws -> Int {
                let scenario = Scenario(
                    engine: engine, framing: shape.framing, source: source, inputs: [.underlay(input)])
                return try scenario.run(way)
            }
            for (index, (input, name)) in bad.enumerated() {
                let before = engine.totals()
                #expect(try run(input) == 0, "\(name), \(way)")
                var expected = before
                let new = engine.totals().drops.filter { $0.value != before.drops[$0.key] ?? 0 }
                guard new.count == 1, let (got, _) = new.first else {
                    Issue.record("\(name), \(way): \(new)")
                    continue
                }
                #expect(reason(index).contains(got), "\(name), \(way): \(got)")
                expected.drops[got, default: 0] += 1
                #expect(engine.totals() == expected, "\(name), \(way)")
            }
            #expect(engine.networks().first?.receive.first?.highestCounter == 0)
            #expect(try run(good) == 1, "\(way)")
        }
    }

    @Test("a datagram or frame cut off at every byte", arguments: Shape.all)
    func cutOff(shape: Shape) throws {
        var sender = try Lane(try shape.end(.left).engine())
        let packet = Packets.udp(from: .left, shape.inner, count: 60)
        let sealed = sender.seal(shape.layer2 ? Packets.frame(packet) : packet, as: shape.framing, at: End.start).bytes
        let cut = (0..<sealed.count).map { (Array(sealed[..<$0]), "\($0) bytes") }
        let hasBatch = shape.framing == .datagram
        try expectDropped(
            cut, shape, good: sealed, ways: hasBatch ? [.across, .inPlace, .batch] : [.across, .inPlace]
        ) {
            guard shape.framing == .datagram else { return [.outerMalformed] }
            return $0 < Geneve.headerLength ? [.datagramTruncated] : [.authenticationFailed]
        }
    }

    @Test("a datagram cut off at every byte within a frame whose lengths agree", arguments: IPAddress.Family.allCases)
    func cutOffInside(outer: IPAddress.Family) throws {
        let shape = Shape(layer2: false, inner: .v4, outer: outer, framing: .frame)
        var sender = try Lane(try shape.end(.left).engine())
        let sealed = sender.seal(Packets.udp(from: .left, count: 60), at: End.start).bytes
        let geneve = OuterHeaders.length(outer)
        let cut = (0..<sealed.count - geneve).map { count in
            (Self.reframed(Array(sealed[..<(geneve + count)]), outer, padding: count % 5), "\(count) bytes")
        }
        try expectDropped(cut, shape, good: sealed, ways: [.across, .inPlace]) {
            $0 < Geneve.headerLength ? [.datagramTruncated] : [.authenticationFailed]
        }
    }

    /// Sets a frame's IP and UDP lengths and the IPv4 checksum to what it is, and pads it.
    private static func reframed(_ frame: [UInt8], _ outer: IPAddress.Family, padding: Int) -> [UInt8] {
        let udp = outer == .v4 ? 34 : 54
        let length = UInt16(frame.count - udp)
        var result = frame.replaced(udp + 4..<udp + 6, with: Packets.big(length))
        if outer == .v4 {
            result.replaceSubrange(16..<18, with: Packets.big(length + 20))
            result.replaceSubrange(24..<26, with: [0, 0])
            result.replaceSubrange(24..<26, with: Packets.big(~Reference.sum(result[14..<34])))
        } else {
            result.replaceSubrange(18..<20, with: Packets.big(length))
        }
        return result + [UInt8](repeating: 0, count: padding)
    }

    @Test("bytes behind a datagram, up to the largest", arguments: [1, 3, 4, 16, 1_000, 65_535])
    func oversized(extra: Int) throws {
        let shape = Shape(layer2: false, inner: .v4, outer: .v4, framing: .datagram)
        let good = try Crafted(from: .left, Packets.udp(from: .left)).sealed()
        let bad = (good + [UInt8](repeating: 0, count: extra), "\(extra) more")
        let ways: [Scenario.Way] = extra < 1_500 ? [.across, .inPlace, .batch] : [.across, .inPlace]
        try expectDropped([bad], shape, good: good, ways: ways) { _ in [.authenticationFailed] }
    }

    @Test("a batch's datagram that its transport cut off is dropped unread")
    func markedTruncated() throws {
        let engine = try End(.right).engine()
        var lane = try Lane(engine)
        var batch = FromUnderlay()
        var packets = ToOverlay()
        let datagram = try Crafted(from: .left, Packets.udp(from: .left)).sealed()
        for isTruncated in [true, false, true] {
            batch.append(datagram, from: End.Side.left.underlay(.v4), isTruncated: isTruncated)
        }
        lane.decapsulate(&batch, into: &packets, at: End.start)
        #expect(packets.packets.count == 1)
        #expect(engine.totals().drops == [.datagramTruncated: 2])
        #expect(engine.totals().fromUnderlay == 3)
    }

    @Test("what the overlay hands over, cut off at every byte", arguments: [false, true], IPAddress.Family.allCases)
    func overlayCutOff(layer2: Bool, inner: IPAddress.Family) throws {
        var end = End(.left)
        end.layer2 = layer2
        let packet = Packets.udp(from: .left, inner, count: 60)
        let whole = layer2 ? Packets.frame(packet) : packet
        for way in layer2 ? [Scenario.Way.across, .inPlace] : Scenario.Way.allCases {
            let engine = try end.engine()
            // A batch takes no packet of no bytes.
            let shortest = way == .batch ? 1 : 0
            for count in shortest..<whole.count {
                let scenario = Scenario(engine: engine, inputs: [.overlay(Array(whole[..<count]))])
                #expect(try scenario.run(way) == 0, "\(count) bytes, \(way)")
                var expected = Statistics()
                expected.drops[.overlayMalformed] = UInt64(count + 1 - shortest)
                #expect(engine.totals() == expected, "\(count) bytes, \(way)")
            }
            #expect(engine.networks().first?.transmit?.lastCounter == 0)
            #expect(try Scenario(engine: engine, inputs: [.overlay(whole)]).run(way) == 1)
        }
    }

    @Test("every value of every byte of the outer and Geneve headers", arguments: IPAddress.Family.allCases)
    func headerBytes(outer: IPAddress.Family) throws {
        let shape = Shape(layer2: false, inner: .v4, outer: outer, framing: .frame)
        var sender = try Lane(try shape.end(.left).engine())
        let sealed = sender.seal(Packets.udp(from: .left, count: 60), at: End.start).bytes
        let engine = try shape.end(.right).engine()
        var lane = try Lane(engine)
        // What may differ and still open: MAC addresses, traffic class, flow label and hop limit, the source's address
        // and port, and a UDP checksum that isn't looked at. Only IPv4's own checksum guards its header.
        let ipv6Free = Set(15..<18).union([21]).union(22..<38)
        let udp = outer == .v4 ? 34 : 54
        let free = Set(0..<12).union(outer == .v4 ? [] : ipv6Free).union([udp, udp + 1, udp + 6, udp + 7])
        var fed = 0
        for offset in 0..<udp + 8 + Geneve.headerLength {
            for value in UInt8.min...UInt8.max where value != sealed[offset] {
                // The version shares a byte with the traffic class.
                let isFree = free.contains(offset) || outer == .v6 && offset == 14 && value >> 4 == 6
                guard !isFree else { continue }
                let changed = sealed.with(value, at: offset)
                let result = fed % 2 == 0 ? lane.open(changed, at: End.start) : lane.openInPlace(changed, at: End.start)
                #expect(result.outcome.hasPrefix("dropped"), "byte \(offset) = \(value)")
                fed += 1
            }
        }
        let totals = engine.totals()
        #expect(totals.fromUnderlay == UInt64(fed))
        #expect(totals.rxPackets == 0)
        for offset in free {
            var fresh = try Lane(try shape.end(.right).engine())
            let opened = fresh.open(sealed.with(sealed[offset] ^ 1, at: offset), at: End.start)
            #expect(opened.outcome == "forward", "byte \(offset)")
        }
    }
}
