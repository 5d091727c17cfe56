// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftTestSupport

@testable import WeftPaths

@Suite("An MTU that follows the paths")
struct AutomaticMTUTests {
    private static let lengths = PathLengths.automatic(least: 1280) { _ in 1400 }

    @Test("Nothing longer goes out before it was answered, and that is asked before data goes out")
    func proven() {
        let network = PathsTests.network(lengths: Self.lengths)
        for end in network.ends { end.isSending = false }
        network.run(for: .milliseconds(150))
        #expect(network.ends.allSatisfy { $0.limit == 1280 })
        network.run(for: .seconds(2))
        #expect(network.ends.allSatisfy { $0.limit == 1400 && $0.paths.longest == 1400 })
    }

    @Test("A path that takes less is found, one that shrinks carries again, and one that grows is found to take more")
    func changes() {
        let network = PathsTests.network(lengths: Self.lengths)
        network.longest = 1330
        network.run(for: .seconds(20))
        #expect(network.ends.allSatisfy { (1314...1330).contains($0.limit ?? 0) })
        network.longest = 1250
        network.run(for: .seconds(3))
        #expect(network.ends.allSatisfy { ($0.limit ?? .max) <= 1250 })
        network.longest = 1400
        network.run(for: .seconds(60))
        #expect(network.ends.allSatisfy { $0.limit == 1400 })
    }

    @Test("A peer that answers nothing gets what each path is taken to take, and says nothing of the interface")
    func neverAnswers() {
        let network = PathsTests.network(.never, lengths: Self.lengths)
        network.run(for: .seconds(5))
        #expect(network.ends.allSatisfy { $0.limit == 1280 && $0.paths.longest == nil })
    }

    @Test("Where the host's way takes more or less, as much is asked for")
    func ways() {
        var now = Instant(nanoseconds: 1)
        var search = MTUSearch(.v4, most: 1424, unproven: 1280)
        #expect(search.limit == 1280 && search.next(at: now) == 1424)
        search.passed(1424, at: now)
        #expect(search.limit == 1424 && !search.isSearching(at: now))
        search.setMost(8924)
        #expect(search.limit == 1424 && search.next(at: now) == 8924)
        for _ in 0..<2 { search.failed(8924, at: now) }
        #expect(search.limit == 1424)
        now = now.advanced(by: .seconds(1))
        search.setMost(1324)
        #expect(search.limit == 1324)
        #expect(PathLengths.automatic(least: 1280) { _ in 0 }.most(PathsTests.one) == 1280)
    }

    @Test("The device takes more at once, and less once it has been less for 10 s")
    func device() {
        var mtu = DeviceMTU(1280)
        func at(_ seconds: Int) -> Instant { Instant(nanoseconds: 1).advanced(by: .seconds(seconds)) }
        #expect(mtu.note(1280, at: at(0)) == nil)
        #expect(mtu.note(1424, at: at(1)) == 1424)
        #expect(mtu.note(1124, at: at(2)) == nil)
        #expect(mtu.note(1424, at: at(3)) == nil)
        #expect(mtu.note(1300, at: at(4)) == nil)
        #expect(mtu.note(1350, at: at(13)) == nil)
        #expect(mtu.note(1310, at: at(14)) == 1350)
        #expect(mtu.note(1310, at: at(15)) == nil && mtu.note(1310, at: at(25)) == 1310)
        #expect(mtu.current == 1310)
    }
}
