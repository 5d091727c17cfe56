// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftTestSupport

@testable import WeftControl

@Suite("Allowances, and rows")
struct AllowanceTests {
    @Test("As many at once as it says, and then one in each interval")
    func burst() {
        var allowance = Allowance(atOnce: 3, every: .milliseconds(10))
        func at(_ milliseconds: UInt64) -> Instant { Instant(nanoseconds: 5_000_000_000 + milliseconds * 1_000_000) }
        let times: [UInt64] = [0, 0, 0, 0, 9, 10, 19, 20, 1000, 1000, 1000, 1000]
        let admitted = times.map { allowance.admits(at: at($0)) }
        #expect(
            admitted == [true, true, true, false, false, true, false, true, true, true, true, false])
        #expect(allowance.next == at(1010))
    }

    @Test("As a bucket of whole parts would have it, at random times")
    func random() {
        var generator = SeededGenerator.fresh()
        let seed = Comment(rawValue: "seed \(generator.seed)")
        for _ in 0..<100 {
            let (burst, interval) = (
                Int.random(in: 1...300, using: &generator), UInt64.random(in: 1...50, using: &generator)
            )
            var allowance = Allowance(atOnce: burst, every: .nanoseconds(Int64(interval)))
            var parts = UInt64(burst) * interval
            var now: UInt64 = 1000
            for _ in 0..<1000 {
                let step = UInt64.random(in: 0...(2 * interval), using: &generator)
                now += step
                parts = min(UInt64(burst) * interval, parts + step)
                let isDue = allowance.next <= Instant(nanoseconds: now)
                let admitted = allowance.admits(at: Instant(nanoseconds: now))
                #expect(admitted == (parts >= interval) && isDue == admitted, seed)
                if admitted { parts -= interval }
            }
        }
    }

    @Test("Rows give in order what was put in, and what is taken out of them is gone")
    func fifo() {
        var row = FIFO<Int>()
        var taken: [Int] = []
        for number in 0..<100 {
            row.append(number)
            #expect(row.first == (taken.last.map { $0 + 1 } ?? 0))
            if number.isMultiple(of: 3), let first = row.popFirst() { taken.append(first) }
        }
        #expect(row.count == 100 - taken.count)
        row.removeAll { $0 > 90 || $0 < 50 && !$0.isMultiple(of: 7) }
        while let next = row.popFirst() { taken.append(next) }
        #expect(taken == Array(0..<34) + [35, 42, 49] + Array(50...90))
        #expect(row.isEmpty && row.first == nil)
    }
}
