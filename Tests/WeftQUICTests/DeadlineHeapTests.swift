// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftTestSupport

@testable import WeftQUIC

struct DeadlineHeapTests {
    @Test func doesWhatADictionaryDoes() {
        var generator = SeededGenerator.fresh()
        var heap = DeadlineHeap<Int>()
        var naive: [Int: Instant] = [:]
        for _ in 0..<20_000 {
            let key = Int.random(in: 0..<200, using: &generator)
            switch Int.random(in: 0..<10, using: &generator) {
            case 0..<7:
                let deadline = Instant(nanoseconds: .random(in: 0..<1000, using: &generator))
                heap.set(deadline, for: key)
                naive[key] = deadline
            case 7..<9:
                heap.remove(key)
                naive[key] = nil
            default:
                let now = Instant(nanoseconds: .random(in: 0..<300, using: &generator))
                let due = heap.takeDue(at: now)
                #expect(Set(due) == Set(naive.filter { $0.value <= now }.keys), "seed \(generator.seed)")
                #expect(due.compactMap { naive[$0] } == due.compactMap { naive[$0] }.sorted(), "seed \(generator.seed)")
                for key in due { naive[key] = nil }
            }
            #expect(heap.first == naive.values.min(), "seed \(generator.seed)")
        }
    }
}
