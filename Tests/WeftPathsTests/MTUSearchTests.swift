// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftTestSupport

@testable import WeftPaths

@Suite("The search for a path's MTU")
struct MTUSearchTests {
    /// Asks until nothing is looked for, on a path that takes so much; how many questions that took.
    private func settle(_ search: inout MTUSearch, longest: Int, _ now: inout Instant) -> Int {
        var questions = 0
        while search.isSearching(at: now), questions < 1000 {
            let length = search.next(at: now)
            questions += 1
            if length <= longest { search.passed(length, at: now) } else { search.failed(length, at: now) }
            now = now.advanced(by: .milliseconds(200))
        }
        return questions
    }

    @Test(
        "it finds what a path takes, to 16 bytes, and holds nothing back that passes",
        arguments: [IPAddress.Family.v4, .v6])
    func finds(_ family: IPAddress.Family) {
        for most in [1280, 1424, 8924] {
            for longest in stride(from: 1184, through: 9000, by: 13) {
                var now = Instant(nanoseconds: 1)
                var search = MTUSearch(family, most: most)
                #expect(search.limit == nil)
                let questions = settle(&search, longest: longest, &now)
                let found = search.proven ?? search.least
                #expect(found <= max(longest, search.least) && found > min(longest, most) - 17, "\(most) \(longest)")
                #expect(longest >= most ? search.limit == nil : search.limit == found, "\(most) \(longest)")
                #expect(questions <= 30, "\(most) \(longest)")
            }
        }
    }

    @Test("one lost question changes nothing; two of the present length cut data down at once")
    func shrinks() {
        var now = Instant(nanoseconds: 1)
        var search = MTUSearch(.v4, most: 1424)
        _ = settle(&search, longest: 1424, &now)
        #expect(search.limit == nil && search.proven == 1424)
        search.failed(1424, at: now)
        search.passed(1424, at: now)
        search.failed(1424, at: now)
        #expect(search.limit == nil)
        search.failed(1424, at: now)
        #expect(search.limit == search.least)
        _ = settle(&search, longest: 1300, &now)
        #expect((1284...1300).contains(search.limit ?? 0))
        // Within a minute it is up again.
        now = now.advanced(by: .seconds(30))
        _ = settle(&search, longest: 1424, &now)
        #expect(search.limit == nil && search.proven == 1424)
    }

    @Test(
        "whatever comes, nothing is asked that the tunnel doesn't carry, and nothing less than each path takes is the limit"
    )
    func random() {
        var generator = SeededGenerator.fresh()
        for _ in 0..<2000 {
            let most = Int.random(in: 576...9000, using: &generator)
            var search = MTUSearch(Bool.random(using: &generator) ? .v4 : .v6, most: most)
            var now = Instant(nanoseconds: 1)
            for _ in 0..<60 {
                let length = search.next(at: now)
                #expect((search.least...most).contains(length), "seed \(generator.seed)")
                switch Int.random(in: 0..<4, using: &generator) {
                case 0: search.passed(length, at: now)
                case 1: search.failed(length, at: now)
                case 2: search.failed(.random(in: 0...10_000, using: &generator), at: now)
                default: search.passed(.random(in: 0...10_000, using: &generator), at: now)
                }
                now = now.advanced(by: .milliseconds(Int.random(in: 0...20_000, using: &generator)))
                if let limit = search.limit { #expect(limit >= search.least && limit < most, "seed \(generator.seed)") }
            }
        }
    }
}

@Suite("A path's MTU, in time")
struct PathMTUTests {
    @Test("A path that shrinks in silence carries again within 3 s, and is found to take more within a minute")
    func shrinks() {
        let network = PathsTests.network()
        network.run(for: .seconds(3))
        #expect(network.ends.allSatisfy { $0.limit == nil })
        network.longest = 1250
        network.run(for: .seconds(3))
        #expect(network.ends.allSatisfy { $0.limit.map { $0 <= 1250 } ?? false })
        network.run(for: .seconds(20))
        #expect(network.ends.allSatisfy { ($0.limit ?? 0) > 1230 })
        network.longest = 1400
        network.run(for: .seconds(60))
        #expect(network.ends.allSatisfy { $0.limit == nil })
        #expect(network.ends[1].endpoints == [PathsTests.one])
    }

    @Test("Nothing is held back from a peer that answers nothing")
    func neverAnswers() {
        let network = PathsTests.network(.never)
        network.longest = 1250
        network.run(for: .seconds(20))
        #expect(network.ends.allSatisfy { $0.limit == nil })
    }
}
