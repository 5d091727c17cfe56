// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

@Suite("Golden vectors: frames")
struct EngineVectorTests {
    struct Frame: NamedVector {
        let name: String
        let sender: Handler
        let receiver: Handler
        let txCounter: UInt64
        let virtFrame: Hex
        let phyFrame: Hex
        let receiverVirtFrame: Hex
        let receiverStatsDelta: [String: UInt64]
    }

    @Test("engine_frames: sealed and opened byte for byte, across buffers and in place")
    func frames() throws {
        try Vectors.each("engine_frames", as: Frame.self) { vector in
            for inPlace in [false, true] {
                let name = "\(vector.name), in place: \(inPlace)"
                var sender = try Lane(try vector.sender.engine(nextCounter: vector.txCounter))
                let now = vector.sender.start
                let sealed =
                    inPlace
                    ? sender.sealInPlace(vector.virtFrame.bytes, at: now) : sender.seal(vector.virtFrame.bytes, at: now)
                #expect(sealed.outcome == "forward", "\(name)")
                #expect(sealed.bytes == vector.phyFrame.bytes, "\(name)")

                let engine = try vector.receiver.engine()
                var receiver = try Lane(engine)
                let opened =
                    inPlace
                    ? receiver.openInPlace(vector.phyFrame.bytes, at: now)
                    : receiver.open(vector.phyFrame.bytes, at: now)
                #expect(opened.outcome == "forward", "\(name)")
                #expect(opened.bytes == vector.receiverVirtFrame.bytes, "\(name)")
                expectCounters(
                    vector.receiverStatsDelta, before: Statistics(), after: engine.totals(), name)
            }
        }
    }

    struct Sequence: NamedVector {
        struct Step: Decodable {
            let phyFrame: Hex
            let virtFrame: Hex?
            let receiverVirtFrame: Hex?
            let wantVirtFrame: Hex?
            let wantLen: Int?
            let receiverStatsDelta: [String: UInt64]?
            let statsDelta: [String: UInt64]?
            let dir: String?
        }

        let name: String
        let sender: Handler?
        let receiver: Handler?
        let a: Handler?
        let b: Handler?
        let steps: [Step]
    }

    @Test("engine_sequences: several frames on one pair of SAs")
    func sequences() throws {
        try Vectors.each("engine_sequences", as: Sequence.self) { vector in
            let left = try #require(vector.sender ?? vector.a ?? vector.receiver)
            let right = try #require(vector.receiver ?? vector.b)
            let engines = (left: try left.engine(), right: try right.engine())
            var lanes = [try Lane(engines.left), try Lane(engines.right)] as InlineArray<2, Lane>
            let now = right.start
            for (index, step) in vector.steps.enumerated() {
                let name = "\(vector.name) step \(index)"
                let from = step.dir == "B->A" ? 1 : 0
                if let packet = step.virtFrame {
                    #expect(lanes[from].seal(packet.bytes, at: now).bytes == step.phyFrame.bytes, "\(name)")
                }
                let before = engines.right.totals()
                let opened = lanes[1 - from].open(step.phyFrame.bytes, at: now)
                let want = try #require(step.wantVirtFrame ?? step.receiverVirtFrame)
                #expect(opened.bytes == want.bytes, "\(name): \(opened.outcome)")
                if let delta = step.receiverStatsDelta ?? step.statsDelta {
                    expectCounters(delta, before: before, after: engines.right.totals(), name)
                }
            }
        }
    }

    struct KeepAlive: NamedVector {
        struct Step: Decodable {
            let advanceNs: UInt64
            let phyFrame: Hex
            let wantLen: Int
            let receiverStatsDelta: [String: UInt64]?
        }

        let name: String
        let sender: Handler
        let receiver: Handler?
        let steps: [Step]
    }

    @Test("keepalive: due at once, then an interval after the last")
    func keepAlives() throws {
        try Vectors.each("keepalive", as: KeepAlive.self) { vector in
            var sender = try Lane(try vector.sender.engine())
            let receiver = try vector.receiver?.engine()
            var now = vector.sender.start
            for (index, step) in vector.steps.enumerated() {
                let name = "\(vector.name) step \(index)"
                now = now.advanced(byNanoseconds: step.advanceNs)
                var output = [UInt8](repeating: 0, count: 256)
                let range = output.withMutableBytes {
                    sender.keepAlive(of: .vni(vector.sender.vni), into: &$0, as: .frame, at: now)
                }
                #expect(Array(output[range ?? 0..<0]) == step.phyFrame.bytes, "\(name)")
                if let receiver, let delta = step.receiverStatsDelta {
                    var lane = try Lane(receiver)
                    let before = receiver.totals()
                    #expect(lane.open(step.phyFrame.bytes, at: now).outcome == "consumed", "\(name)")
                    expectCounters(delta, before: before, after: receiver.totals(), name)
                }
            }
        }
    }
}
