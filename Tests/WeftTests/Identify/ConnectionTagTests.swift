// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

@Suite("Tags of connection ids")
struct ConnectionTagTests {
    /// The reference implementation's vectors: the key is 0, 1, ... 15, the input 0, 1, ... one less than its length.
    private static let vectors: [(count: Int, tag: UInt64)] = [
        (0, 0x726F_DB47_DD0E_0E31), (1, 0x74F8_39C5_93DC_67FD), (7, 0xAB02_00F5_8B01_D137),
        (8, 0x93F5_F579_9A93_2462), (9, 0x9E00_82DF_0BA9_E4B0), (15, 0xA129_CA61_49BE_45E5),
    ]

    @Test("SipHash-2-4 as its authors have it", arguments: vectors)
    func sipHash(_ vector: (count: Int, tag: UInt64)) throws {
        let made = TagKey([UInt8](0..<16).span)
        let key = try #require(made)
        let bytes = (0..<vector.count).map { UInt8($0) }
        #expect(unsafe key.tag(of: bytes.span.bytes) == vector.tag)
        let short = TagKey([UInt8](0..<15).span)
        #expect(short == nil)
    }

    private let tags = ConnectionTags(own: .random(), call: .random())

    private func judge(_ bytes: [UInt8]) -> ConnectionTags.Verdict { unsafe tags.judge(bytes.span.bytes) }

    private func long(_ id: [UInt8], count: Int = 1200) -> [UInt8] {
        let head: [UInt8] = [0xC3, 0, 0, 0, 1, UInt8(id.count)] + id
        return head + KindSamples.filler(max(0, count - head.count))
    }

    private func short(_ id: [UInt8]) -> [UInt8] { [0x43] + id + KindSamples.filler(30) }

    @Test("each has its verdict; without a tag, or with another end's, none but a stranger's")
    func verdicts() {
        let other = ConnectionTags(own: .random(), call: .random())
        #expect(judge(long(tags.makeID())) == .ours)
        #expect(judge(short(tags.makeID())) == .ours)
        #expect(judge(long(ConnectionTags.makeCall(tags.call))) == .call)
        // A key of calls makes no ids of ours, and the other way round.
        #expect(judge(short(ConnectionTags.makeCall(tags.call) + [0, 0])) == .maybeReset)
        #expect(judge(long(ConnectionTags.makeCall(tags.own))) == .stranger)
        #expect(judge(long(other.makeID())) == .stranger)
        #expect(judge(short(other.makeID())) == .maybeReset)
        #expect(judge(long(ConnectionTags.makeCall(other.call))) == .stranger)
        #expect(judge(long([])) == .stranger)
        #expect(judge(long(KindSamples.filler(8))) == .stranger)
        #expect(judge([]) == .stranger)
        #expect(judge(Array(short(tags.makeID()).prefix(20))) == .stranger)
        // Cut within the id.
        #expect(judge(Array(long(ConnectionTags.makeCall(tags.call)).prefix(21))) == .stranger)
    }

    @Test("a changed bit anywhere in an id is a stranger's")
    func changedBits() {
        let id = tags.makeID()
        let call = ConnectionTags.makeCall(tags.call)
        for bit in 0..<8 * id.count {
            var changed = id
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(judge(long(changed)) == .stranger)
        }
        for bit in 0..<8 * call.count {
            var changed = call
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(judge(long(changed)) == .stranger)
        }
    }

    @Test("a million random datagrams have verdicts, and none has a tag")
    func random() {
        var generator = SeededGenerator.fresh()
        for _ in 0..<1_000_000 {
            let count = Int.random(in: 0...48, using: &generator)
            var bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
            // So that lengths that an id may have come often.
            if count > 5, Bool.random(using: &generator) { bytes[5] = Bool.random(using: &generator) ? 16 : 18 }
            let verdict = judge(bytes)
            #expect(verdict == .stranger || verdict == .maybeReset, "seed \(generator.seed)")
        }
    }
}
