// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

/// One way that packets take through a tunnel.
struct Shape: CustomTestStringConvertible, Sendable {
    var layer2: Bool
    var inner: IPAddress.Family
    var outer: IPAddress.Family
    var framing: Lane.Framing

    static let all: [Shape] = [false, true].flatMap { layer2 in
        IPAddress.Family.allCases.flatMap { inner in
            IPAddress.Family.allCases.flatMap { outer in
                [Lane.Framing.datagram, .frame].map {
                    Shape(layer2: layer2, inner: inner, outer: outer, framing: $0)
                }
            }
        }
    }

    var testDescription: String { "layer \(layer2 ? 2 : 3), \(inner) in \(outer), \(framing)" }

    func end(_ side: End.Side) -> End {
        var end = End(side)
        end.layer2 = layer2
        end.outer = outer
        return end
    }
}

@Suite("Transforms agree")
struct TransformTests {
    /// Times 16 shapes: 11,200 packets.
    static let packetsPerShape = 700

    @Test("in place and across buffers give the same bytes, and the packet again", arguments: Shape.all)
    func inPlaceAgainstAcross(shape: Shape) throws {
        var generator = SeededGenerator.fresh()
        var left = shape.end(.left)
        var right = shape.end(.right)
        left.udpChecksum = .random(using: &generator)
        left.hashesSourcePort = .random(using: &generator)
        right.cipher = .openSSL
        let receivers = (across: try right.engine(), inPlace: try right.engine())
        var sealAcross = try Lane(try left.engine())
        var sealInPlace = try Lane(try left.engine())
        var openAcross = try Lane(receivers.across)
        var openInPlace = try Lane(receivers.inPlace)
        let source = End.Side.left.underlay(shape.outer)
        for index in 0..<Self.packetsPerShape {
            let name: Comment = "seed \(generator.seed), packet \(index)"
            let longest = index % 50 == 0 ? 9000 : 1500
            var packet = Packets.random(from: .left, shape.inner, longest: longest, using: &generator)
            // Ethernet pads; the padding is carried.
            if index % 7 == 0 { packet += [UInt8](repeating: 0, count: .random(in: 1...46, using: &generator)) }
            let input = shape.layer2 ? Packets.frame(packet) : packet
            let across = sealAcross.seal(input, as: shape.framing, at: End.start)
            let inPlace = sealInPlace.sealInPlace(input, as: shape.framing, at: End.start)
            try #require(across.outcome == "forward", name)
            try #require(across == inPlace, name)

            let opened = openAcross.open(across.bytes, from: source, as: shape.framing, at: End.start)
            let openedInPlace = openInPlace.openInPlace(inPlace.bytes, from: source, as: shape.framing, at: End.start)
            try #require(opened == openedInPlace, name)
            let header = Packets.frame(packet).replaced(0..<12, with: Packets.macs(from: .right))[..<14]
            try #require(opened.bytes == (shape.layer2 ? header + packet : packet), name)
        }
        #expect(receivers.across.totals() == receivers.inPlace.totals())
        #expect(receivers.across.totals().rxPackets == UInt64(Self.packetsPerShape))
    }

    @Test("batches give what single packets give, to several networks and with drops between")
    func batchAgainstSingle() throws {
        var generator = SeededGenerator.fresh()
        let engines = try (0..<2).map { _ in (left: try Several.engine(.left), right: try Several.engine(.right)) }
        var batchSeal = try Lane(engines[0].left)
        var singleSeal = try Lane(engines[1].left)
        var batchOpen = try Lane(engines[0].right)
        var singleOpen = try Lane(engines[1].right)
        var fromOverlay = FromOverlay()
        var toUnderlay = ToUnderlay()
        var fromUnderlay = FromUnderlay(capacity: 256, slotSize: 2048)
        var toOverlay = ToOverlay()
        for round in 0..<60 {
            let name: Comment = "seed \(generator.seed), round \(round)"
            fromOverlay.removeAll()
            toUnderlay.removeAll()
            fromUnderlay.removeAll()
            toOverlay.removeAll()
            let packets = (0..<Int.random(in: 1...64, using: &generator)).map { _ in
                Several.packet(using: &generator)
            }
            var expected: [[UInt8]] = []
            for packet in packets {
                fromOverlay.append(packet)
                let result = singleSeal.seal(packet, as: .datagram, at: End.start)
                if result.outcome == "forward" { expected.append(result.bytes) }
            }
            batchSeal.encapsulate(&fromOverlay, into: &toUnderlay, at: End.start)
            let sealed = toUnderlay.datagrams
            try #require(sealed == expected, name)

            var opened: [[UInt8]] = []
            for datagram in Several.disturbed(sealed, using: &generator) {
                fromUnderlay.append(datagram, from: End.Side.left.underlay(.v4))
                let result = singleOpen.open(datagram, as: .datagram, at: End.start)
                if result.outcome == "forward" { opened.append(result.bytes) }
            }
            batchOpen.decapsulate(&fromUnderlay, into: &toOverlay, at: End.start)
            // A batch puts right what it got out of the sender's order, so only the packets themselves are compared.
            let delivered = try toOverlay.delivered(from: fromUnderlay)
            try #require(delivered.sorted(by: precedes) == opened.sorted(by: precedes), name)
        }
        for (one, other) in [(engines[0].left, engines[1].left), (engines[0].right, engines[1].right)] {
            #expect(one.totals() == other.totals(), "seed \(generator.seed)")
            #expect(one.networks().map(\.statistics) == other.networks().map(\.statistics), "seed \(generator.seed)")
        }
        let drops = engines[0].right.totals().drops
        #expect(Set(drops.keys).isSuperset(of: [.replayed, .authenticationFailed]), "seed \(generator.seed)")
        #expect((engines[0].left.totals().drops[.noRoute] ?? 0) > 0, "seed \(generator.seed)")
    }
}

private func precedes(_ left: [UInt8], _ right: [UInt8]) -> Bool { left.lexicographicallyPrecedes(right) }

/// Three networks between the same two ends, told apart by the hosts' third byte.
private enum Several {
    static let vnis: [UInt32] = [7, 8, 1 << 24 - 1]

    static func engine(_ side: End.Side) throws -> Engine {
        let engine = try Engine(End(side).configuration)
        for (index, vni) in vnis.enumerated() {
            let number = UInt32(index)
            var network = End(side).network
            network.id = .vni(vni)
            network.routes = [
                Route(source: try subnet(side, number), destination: try subnet(side.other, number))
            ]
            try engine.add(network)
            try engine.install(Keys.pair(side, epoch: 1 + number), for: .vni(vni), at: End.start)
        }
        return engine
    }

    private static func subnet(_ side: End.Side, _ number: UInt32) throws -> Prefix {
        let address = IPAddress(v4: side.prefix(.v4).address.v4Bits | number << 8)
        return try #require(Prefix(address, length: 24))
    }

    /// To one of the networks, or rarely to none.
    static func packet(using generator: inout SeededGenerator) -> [UInt8] {
        let number = UInt16.random(in: 0...3, using: &generator)
        let host = number << 8 | .random(in: 1...254, using: &generator)
        return Packets.udp(
            Packets.host(.left, .v4, host), Packets.host(.right, .v4, host),
            count: .random(in: 28...1400, using: &generator))
    }

    /// Datagrams of which some come twice, some are changed and some have lost their end.
    static func disturbed(_ datagrams: [[UInt8]], using generator: inout SeededGenerator) -> [[UInt8]] {
        datagrams.flatMap { datagram -> [[UInt8]] in
            switch Int.random(in: 0..<8, using: &generator) {
            case 0: return [datagram, datagram]
            case 1:
                let offset = Int.random(in: datagram.indices, using: &generator)
                return [datagram.with(datagram[offset] ^ UInt8.random(in: 1...255, using: &generator), at: offset)]
            case 2: return [Array(datagram.dropLast(.random(in: 1...datagram.count, using: &generator)))]
            default: return [datagram]
            }
        }.prefix(64).map { $0 }
    }
}
