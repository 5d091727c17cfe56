// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

@Suite("Identification")
struct IdentificationTests {
    private func found(_ bytes: [UInt8]) -> Identification { unsafe Identification(of: bytes.span.bytes) }

    private func expectAsReference(_ bytes: [UInt8], _ comment: @autoclosure () -> String) {
        let verdict = found(bytes).verdict
        let wanted = IdentificationReference.verdict(bytes)
        guard verdict != wanted else { return }
        Issue.record("\(comment()): found \(verdict), expected \(wanted): \(bytes.prefix(80))")
    }

    @Test("each kind is found for what it is", arguments: KindSamples.all)
    func samples(sample: KindSamples.Sample) {
        #expect(found(sample.bytes).kind == sample.kind)
        expectAsReference(sample.bytes, sample.name)
    }

    @Test("every single-byte change of each header, and every length", arguments: KindSamples.all)
    func changes(sample: KindSamples.Sample) {
        for offset in 0..<min(sample.header, sample.bytes.count) {
            for value in UInt8.min...UInt8.max {
                var changed = sample.bytes
                changed[offset] = value
                expectAsReference(changed, "\(sample), byte \(offset) is \(value)")
            }
        }
        for count in 0...sample.bytes.count {
            expectAsReference(Array(sample.bytes.prefix(count)), "\(sample), \(count) bytes")
            expectAsReference(sample.bytes + KindSamples.filler(count % 40), "\(sample), longer by \(count % 40)")
        }
    }

    @Test("every two first bytes, before what each kind goes on with")
    func firstBytes() {
        for sample in KindSamples.all where sample.bytes.count >= 2 {
            for first in UInt8.min...UInt8.max {
                for second in UInt8.min...UInt8.max {
                    var changed = sample.bytes
                    changed[0] = first
                    changed[1] = second
                    expectAsReference(changed, "\(sample), begins \(first) \(second)")
                }
            }
        }
    }

    @Test("kinds that look alike")
    func alike() {
        // A WireGuard packet whose receiver index is STUN's cookie, and data whose VNI is, with STUN's length.
        let index: [UInt8] = [4, 0, 0, 0, 0x21, 0x12, 0xA4, 0x42] + KindSamples.filler(40)
        #expect(found(index).kind == .wireGuard)
        let cookie: [UInt8] = [0x06, 0x40, 0, 12, 0x21, 0x12, 0xA4, 0x42] + KindSamples.filler(24)
        #expect(found(cookie).kind == .stun)
        #expect(found(KindSamples.data.with(0x51, at: 1)).kind == .control)
        // Inside an envelope neither QUIC nor STUN is looked for.
        #expect(found(KindSamples.envelope(0, KindSamples.stun)).kind == .unknown)
        #expect(found(KindSamples.envelope(0, KindSamples.longHeader)).kind == .unknown)
        #expect(found(KindSamples.envelope(0x7A11, KindSamples.stun)).kind == .disco)
        #expect(found([]).kind == .unknown)
        #expect(found([0x80]).kind == .control)
        #expect(found([0x40]).kind == .control)
        #expect(found([0x06]).kind == .unknown)
    }

    @Test("100,000 random datagrams that begin like a kind")
    func random() {
        var generator = SeededGenerator.fresh()
        for _ in 0..<100_000 {
            var bytes = KindSamples.all.randomElement(using: &generator)?.bytes ?? []
            for _ in 0..<Int.random(in: 0...3, using: &generator) where !bytes.isEmpty {
                bytes[.random(in: 0..<min(bytes.count, 72), using: &generator)] = .random(
                    in: 0...255, using: &generator)
            }
            if Bool.random(using: &generator) {
                bytes.removeLast(.random(in: 0...bytes.count, using: &generator))
            }
            expectAsReference(bytes, "seed \(generator.seed)")
        }
    }

    @Test("every rule decides something, and explains itself")
    func explanations() {
        let reached = Set(KindSamples.all.map { found($0.bytes).rule })
        #expect(reached == Set(IdentificationRule.allCases))
        for rule in IdentificationRule.allCases { #expect(rule.explanation.count > 15, "\(rule)") }
    }
}
