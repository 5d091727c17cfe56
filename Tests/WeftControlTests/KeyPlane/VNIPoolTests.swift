// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftTestSupport

@testable import WeftControl

@Suite("VNIs that a responder hands out")
struct VNIPoolTests {
    @Test("The whole space is handed out, none twice, round robin from anywhere", arguments: [1, 4711, 0xFF_FFFF])
    func wholeSpace(first: UInt32) {
        var pool = VNIPool(first: first)
        var expected = first
        for count in 0..<VNIPool.count {
            guard let vni = pool.take(), vni == expected else {
                Issue.record("VNI \(count + 1) of the round isn't \(expected)")
                return
            }
            expected = expected == 0xFF_FFFF ? 1 : expected + 1
        }
        #expect(pool.take() == nil)
        #expect(pool.free == 0)
    }

    @Test("What is given back is free once its quarantine is over, and not before")
    func quarantine() {
        var pool = VNIPool(first: 1)
        var held: [UInt32] = []
        while let vni = pool.take() { held.append(vni) }
        let hour = Instant(nanoseconds: 3_600_000_000_000)
        pool.release(7, owner: 1, until: hour)
        pool.release(9, owner: 2, until: hour.advanced(by: .seconds(1)))
        var freed: [UInt32] = []
        pool.advance(to: hour) { freed.append($0) }
        #expect(pool.take() == nil && freed.isEmpty)
        pool.advance(to: hour.advanced(by: .nanoseconds(1))) { freed.append($0) }
        #expect(pool.take() == 7)
        #expect(pool.take() == nil)
        pool.advance(to: hour.advanced(by: .seconds(2))) { freed.append($0) }
        #expect(pool.take() == 9)
        #expect(freed == [1, 2])
    }

    @Test("As a naive set would have it, over random takings and releases")
    func random() {
        var generator = SeededGenerator.fresh()
        print("seed \(generator.seed)")
        var pool = VNIPool(first: 0xFF_FF00)
        var held: [UInt32] = []
        var waiting: [(vni: UInt32, until: Instant)] = []
        var now = Instant(nanoseconds: 1)
        for _ in 0..<50_000 {
            now = now.advanced(by: .milliseconds(Int.random(in: 0...20, using: &generator)))
            pool.advance(to: now) { _ in }
            waiting.removeAll { now > $0.until }
            if Bool.random(using: &generator), !held.isEmpty {
                let vni = held.remove(at: Int.random(in: 0..<held.count, using: &generator))
                let until = now.advanced(by: .seconds(1))
                pool.release(vni, owner: 0, until: until)
                waiting.append((vni, until))
            } else if let vni = pool.take() {
                #expect((1..<1 << 24).contains(vni))
                #expect(!held.contains(vni) && !waiting.contains { $0.vni == vni })
                held.append(vni)
            }
            #expect(pool.free == VNIPool.count - held.count - waiting.count)
            #expect(pool.quarantined == waiting.count)
        }
    }
}
