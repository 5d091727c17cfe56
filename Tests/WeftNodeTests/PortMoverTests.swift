// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft

@testable import WeftNode

@Suite("Another port for calls in vain")
struct PortMoverTests {
    @Test("after 20 s without an answer, then ever later, and from the beginning once somebody answered")
    func patience() {
        var calls = PortMover.CallsInVain()
        var moves: [Int] = []
        for second in 0..<400 {
            let now = Instant(nanoseconds: UInt64(second) * 1_000_000_000)
            if calls.judge(isReached: false, isCalling: true, at: now) { moves.append(second) }
        }
        #expect(moves == [20, 60, 140, 300])
        let isMoved = calls.judge(isReached: true, isCalling: true, at: Instant(nanoseconds: 400_000_000_000))
        #expect(!isMoved)
        moves = []
        for second in 401..<450 {
            let now = Instant(nanoseconds: UInt64(second) * 1_000_000_000)
            if calls.judge(isReached: false, isCalling: true, at: now) { moves.append(second) }
        }
        #expect(moves == [421])
    }

    @Test("nobody moves who isn't calling, or whom one of several peers answers")
    func stays() {
        var calls = PortMover.CallsInVain()
        for second in 0..<400 {
            let now = Instant(nanoseconds: UInt64(second) * 1_000_000_000)
            let isMoved = calls.judge(isReached: second % 2 == 0, isCalling: true, at: now)
            let isMovedIdle = calls.judge(isReached: false, isCalling: false, at: now)
            #expect(!isMoved && !isMovedIdle)
        }
    }
}
