// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

@Suite("Replay window")
struct ReplayWindowTests {
    /// Every counter that was accepted, kept for ever.
    private struct Naive {
        var accepted: Set<UInt64> = []
        var highest: UInt64 = 0
        /// Counters up to here count as seen.
        var seenUpTo: UInt64?

        mutating func accept(_ counter: UInt64) -> Bool {
            // The last 2^13 counters are never accepted, and the window is 8,128 wide.
            guard counter < UInt64.max - 8192, highest < 8128 || counter >= highest - 8128 else { return false }
            if let seenUpTo, counter <= seenUpTo { return false }
            guard accepted.insert(counter).inserted else { return false }
            highest = max(highest, counter)
            return true
        }
    }

    /// A counter near where things happen: the highest, the window's end, block borders, the limit.
    private static func counter(near highest: UInt64, using generator: inout SeededGenerator) -> UInt64 {
        let offset = UInt64.random(in: 0...140, using: &generator)
        return switch Int.random(in: 0..<10, using: &generator) {
        case 0: highest &- 8128 &+ offset &- 70
        case 1: highest &- .random(in: 0...9000, using: &generator)
        case 2: highest &+ .random(in: 0...9000, using: &generator)
        case 3: (highest | 63) &+ offset &- 70
        case 4: offset
        case 5...8: highest &+ offset &- 70
        default: UInt64.random(in: 0..<20, using: &generator) == 0 ? highest &+ (1 << 20) : highest &+ 1
        }
    }

    @Test("against a set of all counters ever accepted")
    func againstSet() {
        var generator = SeededGenerator.fresh()
        for start: UInt64 in [0, 1, 63, 64, 8127, 8128, 8129, 8191, 8192, 1 << 32, 1 << 60, .max - 40_000] {
            var window = ReplayWindow()
            var naive = Naive()
            var next = start
            for step in 0..<8_000 {
                let (ours, theirs) = (window.accept(next), naive.accept(next))
                #expect(ours == theirs, "seed \(generator.seed), start \(start), step \(step), counter \(next)")
                if ours != theirs { return }
                next = Self.counter(near: naive.highest, using: &generator)
            }
            #expect(window.highest == naive.highest)
        }
    }

    @Test("a window that goes on after a restart has seen all up to its mark and nothing above")
    func afterMark() {
        var generator = SeededGenerator.fresh()
        let limit = ReplayWindow.limit
        var marks: [UInt64] = [1, 2, 61, 62, 63, 64, 65, 127, 128, 8127, 8128, 8129, 8191, 8192, 8193, 1 << 60]
        marks += [limit - 9000, limit - 64, limit - 2, limit - 1, limit, limit + 1, .max]
        marks += (0..<40).map { _ in .random(in: 1...(1 << 40), using: &generator) }
        for mark in marks {
            var window = ReplayWindow(after: mark)
            // From the limit on nothing is accepted, so the mark needs to be no higher.
            let effective = min(mark, limit - 1)
            var naive = Naive(highest: effective, seenUpTo: mark)
            #expect(window.highest == effective)
            let below = (0...200).flatMap { [effective &- $0, effective &- 8000 &- $0] }.filter { $0 <= mark }
            let accepted = below.filter { window.accept($0) }
            #expect(accepted.isEmpty, "mark \(mark)")
            var next = mark
            for step in 0..<2_000 {
                let (ours, theirs) = (window.accept(next), naive.accept(next))
                #expect(ours == theirs, "seed \(generator.seed), mark \(mark), step \(step), counter \(next)")
                if ours != theirs { return }
                next = Self.counter(near: naive.highest, using: &generator)
            }
        }
    }

    @Test("mark 0 is an empty window: counter 0 is accepted once")
    func afterNothing() {
        var window = ReplayWindow(after: 0)
        let accepted = [window.accept(0), window.accept(0), window.accept(1), window.accept(1)]
        #expect(accepted == [true, false, true, false])
    }
}
