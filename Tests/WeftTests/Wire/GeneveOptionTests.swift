// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

@Suite("Geneve options")
struct GeneveOptionTests {
    private struct Option {
        var optionClass: UInt16
        var type: UInt8
        /// In the low five bits; the upper three are reserved.
        var lengthByte: UInt8
        var value: [UInt8]

        var bytes: [UInt8] { Packets.big(optionClass) + [type, lengthByte] + value }
    }

    private static let spi = Keys.spi(.left, epoch: 1)

    private static func epoch(_ spi: UInt32 = spi) -> Option {
        Option(optionClass: 0xFF00, type: 0x81, lengthByte: 1, value: Packets.big(spi))
    }

    private static func counter(_ counter: UInt64) -> Option {
        Option(
            optionClass: 0xFF00, type: 0x82, lengthByte: 3, value: Packets.big(spi) + Packets.big(counter))
    }

    private static func unknown(using generator: inout SeededGenerator) -> Option {
        // Of other classes or types, seldom critical.
        var type = UInt8.random(in: 0...0x7F, using: &generator)
        if Int.random(in: 0..<12, using: &generator) == 0 { type |= 0x80 }
        let words = UInt8.random(in: 0...3, using: &generator)
        let isOurClass = Bool.random(using: &generator)
        return Option(
            optionClass: isOurClass ? 0xFF00 : .random(in: 0...0xFEFF, using: &generator),
            type: isOurClass && (type == 0x81 || type == 0x82) ? 0x83 : type, lengthByte: words,
            value: (0..<words * 4).map { _ in .random(in: 0...255, using: &generator) })
    }

    /// What becomes of a list, by DESIGN's words rather than by offsets.
    private static func verdict(_ list: [Option]) -> String {
        var (epochs, counters) = (0, 0)
        for option in list {
            let words = Int(option.lengthByte & 0x1F)
            if words * 4 != option.value.count { return "dropped geneveOptions" }
            switch (option.optionClass, option.type) {
            case (0xFF00, 0x81):
                epochs += 1
                if words != 1 || epochs > 1 { return "dropped geneveOptions" }
            case (0xFF00, 0x82):
                counters += 1
                if words != 3 || counters > 1 { return "dropped geneveOptions" }
            default:
                if option.type & 0x80 != 0 { return "dropped geneveCriticalOption" }
            }
        }
        return epochs == 1 && counters == 1 ? "forward" : "dropped geneveOptions"
    }

    @Test("random lists of options, sealed with the true key, against the rules")
    func lists() throws {
        var generator = SeededGenerator.fresh()
        let engine = try End(.right).engine()
        var lane = try Lane(engine)
        let packet = Packets.udp(from: .left)
        var seen: [String: Int] = [:]
        for number in 1...3_000 as ClosedRange<UInt64> {
            var list = [Self.epoch(), Self.counter(number)]
            for _ in 0..<Int.random(in: 0...3, using: &generator) { list.append(Self.unknown(using: &generator)) }
            switch Int.random(in: 0..<10, using: &generator) {
            case 0: list.append(Self.epoch())
            case 1: list.append(Self.counter(number))
            case 2: list.removeFirst()
            case 3: list.remove(at: 1)
            case 4: list[0] = Option(optionClass: 0xFF00, type: 0x81, lengthByte: 2, value: Packets.big(UInt64(1)))
            case 5: list[1].lengthByte = 2
            default: break
            }
            // Reserved bits are ignored.
            for index in list.indices { list[index].lengthByte |= .random(in: 0..<8, using: &generator) << 5 }
            list.shuffle(using: &generator)
            var expected = Self.verdict(list)
            var bytes = list.flatMap(\.bytes)
            // A list whose last option would reach beyond it may read as others before it does.
            let isAmbiguous = list.contains { Int($0.lengthByte & 0x1F) * 4 != $0.value.count }
            if expected == "forward", Int.random(in: 0..<20, using: &generator) == 0 {
                // An option's header that begins in the list and whose value doesn't end in it.
                bytes += [0, 1, 2, 1]
                expected = "dropped geneveOptions"
            }
            var crafted = Crafted(from: .left, packet)
            (crafted.options, crafted.counter) = (bytes, number)
            let outcome = lane.open(try crafted.sealed(), as: .datagram, at: End.start).outcome
            if isAmbiguous {
                #expect(outcome.hasPrefix("dropped geneve"), "seed \(generator.seed), \(number): \(list)")
            } else {
                #expect(outcome == expected, "seed \(generator.seed), \(number): \(list)")
            }
            seen[outcome, default: 0] += 1
        }
        #expect(engine.totals().fromUnderlay == 3_000)
        for outcome in ["forward", "dropped geneveOptions", "dropped geneveCriticalOption"] {
            #expect((seen[outcome] ?? 0) > 100, "seed \(generator.seed): \(seen)")
        }
    }

    @Test("as many options as fit: 63 words")
    func longest() throws {
        let packet = Packets.udp(from: .left)
        // 2 and 4 words of ours, and 57 of others without a value.
        let others = [UInt8](repeatElement([0, 1, 2, 0] as [UInt8], count: 57).joined())
        for list in [
            others + Self.epoch().bytes + Self.counter(1).bytes, Self.counter(2).bytes + others + Self.epoch().bytes,
        ] {
            #expect(list.count == 63 * 4)
            var crafted = Crafted(from: .left, packet)
            (crafted.options, crafted.counter) = (list, list.first == 0 ? 1 : 2)
            for way in Scenario.Way.allCases {
                let engine = try End(.right).engine()
                let scenario = Scenario(engine: engine, inputs: [.underlay(try crafted.sealed())])
                #expect(try scenario.run(way) == 1, "\(way)")
            }
        }
    }
}
