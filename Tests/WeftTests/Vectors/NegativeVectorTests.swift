// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

@Suite("Golden vectors: what must be dropped")
struct NegativeVectorTests {
    struct Received: NamedVector {
        struct Step: Decodable {
            let advanceNs: UInt64
            let phyFrame: Hex
            let wantLen: Int
            let wantVirtFrame: Hex?
            let statsDelta: [String: UInt64]
        }

        let name: String
        let receiver: Handler
        let steps: [Step]
    }

    @Test("decap_negative: every verdict, across buffers and in place", arguments: [false, true])
    func received(inPlace: Bool) throws {
        var differences: Set<DropReason> = []
        try Vectors.each("decap_negative", as: Received.self) { vector in
            let engine = try vector.receiver.engine()
            var lane = try Lane(engine)
            var now = vector.receiver.start
            for (index, step) in vector.steps.enumerated() {
                let name = "\(vector.name) step \(index), in place: \(inPlace)"
                now = now.advanced(byNanoseconds: step.advanceNs)
                let before = engine.totals()
                let result =
                    inPlace ? lane.openInPlace(step.phyFrame.bytes, at: now) : lane.open(step.phyFrame.bytes, at: now)
                #expect(engine.totals().fromUnderlay == before.fromUnderlay + 1, "\(name): not accounted for")
                let inner = (step.wantVirtFrame?.bytes ?? []).dropFirst(vector.receiver.layer == 2 ? 14 : 0)
                if let reason = Differences.dropped(step.phyFrame.bytes, by: vector.receiver, inner: Array(inner)) {
                    differences.insert(reason)
                    #expect(result.outcome == "dropped \(reason)", "\(name)")
                } else if Differences.isOpened(vector.name) {
                    #expect(result.outcome == "forward", "\(name)")
                } else {
                    #expect(result.bytes.count == step.wantLen, "\(name): \(result.outcome)")
                    if let want = step.wantVirtFrame { #expect(result.bytes == want.bytes, "\(name)") }
                    expectCounters(step.statsDelta, before: before, after: engine.totals(), name)
                }
            }
        }
        // So that no rule stands in the file that no vector needs.
        let rules: Set<DropReason> = [
            .outerChecksum, .outerMalformed, .notForUs, .geneveVersion, .geneveControl, .geneveOptions, .innerMalformed,
        ]
        if Vectors.isOwnFolder { #expect(rules.isSubset(of: differences)) }
    }

    struct Tampered: Decodable {
        struct Case: Decodable {
            let byte: Int
            let xor: UInt8
            let wantLen: Int
            let statsDelta: [String: UInt64]
        }

        let receiver: Handler
        let phyFrame: Hex
        let cases: [Case]
    }

    @Test("decap_byte_tamper: one byte changed at every offset")
    func tampered() throws {
        for vector in try Vectors.load("decap_byte_tamper", as: Tampered.self) {
            let now = vector.receiver.start
            var untouched = try Lane(try vector.receiver.engine())
            let opened = untouched.open(vector.phyFrame.bytes, at: now).bytes
            for change in vector.cases {
                let name = "byte \(change.byte) xor \(change.xor)"
                var frame = vector.phyFrame.bytes
                frame[change.byte] ^= change.xor
                let engine = try vector.receiver.engine()
                var lane = try Lane(engine)
                let result = lane.open(frame, at: now)
                let inner = change.wantLen > 0 ? Array(opened) : []
                if let reason = Differences.dropped(frame, by: vector.receiver, inner: inner) {
                    #expect(result.outcome == "dropped \(reason)", "\(name)")
                    continue
                }
                #expect(result.bytes.count == change.wantLen, "\(name): \(result.outcome)")
                expectCounters(change.statsDelta, before: Statistics(), after: engine.totals(), name)
            }
        }
    }

    struct Sent: NamedVector {
        struct Step: Decodable {
            let phyBufferLen: Int
            let virtFrame: Hex
            let phyFrame: Hex
            let wantLen: Int
            let statsDelta: [String: UInt64]
            let txCounterAfter: UInt64?
        }

        let name: String
        let sender: Handler
        let steps: [Step]
    }

    @Test("encap_negative: overlay packets that must be dropped, buffer edges, the counter's limit")
    func sent() throws {
        try Vectors.each("encap_negative", as: Sent.self) { vector in
            // The counter that the first accepted step carries says where the sender's counter stood.
            let first = vector.steps.first { $0.wantLen > 0 }?.txCounterAfter ?? 1
            let engine = try vector.sender.engine(nextCounter: first)
            var lane = try Lane(engine)
            let isPastExpiry = vector.name.contains("expir") && vector.steps.allSatisfy { $0.wantLen == 0 }
            var now = vector.sender.start
            if vector.name.contains("expir") { now = now.advanced(by: .milliseconds(vector.sender.keyLifetimeMs)) }
            if isPastExpiry { now = now.advanced(byNanoseconds: 1) }
            for (index, step) in vector.steps.enumerated() {
                let name = "\(vector.name) step \(index)"
                let before = engine.totals()
                let result = lane.seal(step.virtFrame.bytes, room: step.phyBufferLen, at: now)
                #expect(result.bytes.count == step.wantLen, "\(name): \(result.outcome)")
                #expect(result.bytes == step.phyFrame.bytes, "\(name)")
                expectCounters(step.statsDelta, before: before, after: engine.totals(), name)
                #expect(engine.totals().fromOverlay == before.fromOverlay + 1, "\(name): not accounted for")
                if let after = step.txCounterAfter, !Differences.burnsNoCounter.contains(vector.name) {
                    #expect(engine.networks().first?.transmit?.lastCounter == after, "\(name)")
                }
            }
        }
    }
}
