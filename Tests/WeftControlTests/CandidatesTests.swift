// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft

@testable import WeftControl

@Suite("The places of a peer with a name")
struct CandidatesTests {
    private func place(_ number: UInt32) -> Endpoint { Endpoint(IPAddress(v4: 0xC000_0200 | number), port: 6081) }

    /// The places that are called next, and whether each ended a round.
    private func calls(_ candidates: inout Candidates, _ count: Int) -> [String] {
        (0..<count).map { _ in
            let next = candidates.next().map { "\($0.address.v4Bits & 0xFF)" } ?? "none"
            return next + (candidates.isRoundOver ? "." : "")
        }
    }

    @Test("are called in turn, and then from the beginning")
    func turns() {
        var candidates = Candidates()
        #expect(calls(&candidates, 1) == ["none."])
        _ = candidates.replace(with: [place(1), place(2), place(3)])
        #expect(calls(&candidates, 4) == ["1", "2", "3.", "1"])
    }

    @Test("begin with the one where the peer was last")
    func worked() {
        var candidates = Candidates()
        _ = candidates.replace(with: [place(1), place(2), place(3)])
        candidates.found(at: place(2))
        #expect(calls(&candidates, 4) == ["2", "1", "3.", "2"])
        // It roamed to where its name doesn't lead.
        candidates.found(at: place(9))
        #expect(calls(&candidates, 5) == ["9", "1", "2", "3.", "9"])
    }

    @Test("the name's newer word goes before where the peer was, if it doesn't have that any more")
    func news() {
        var candidates = Candidates()
        _ = candidates.replace(with: [place(1), place(2)])
        candidates.found(at: place(1))
        var isNews = candidates.replace(with: [place(4), place(5)])
        #expect(isNews)
        #expect(calls(&candidates, 3) == ["4", "5", "1."])
        isNews = candidates.replace(with: [place(5), place(4)])
        #expect(!isNews, "another order is no news")
        isNews = candidates.replace(with: [place(6), place(1)])
        #expect(isNews)
        #expect(calls(&candidates, 2) == ["1", "6."])
    }
}
