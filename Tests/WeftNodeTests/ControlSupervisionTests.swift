// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft

@testable import WeftNode

@Suite("When control processes are started, asked and ended")
struct ControlSupervisionTests {
    private func instant(_ milliseconds: Int) -> Instant {
        Instant(nanoseconds: 1_000_000_000 + UInt64(milliseconds) * 1_000_000)
    }

    /// One that works since 0.
    private func working() -> ControlSupervision {
        var supervision = ControlSupervision(at: instant(0))
        #expect(supervision.act(at: instant(0)) == .start)
        supervision.hello(at: instant(0))
        return supervision
    }

    @Test("One that answers is left alone, and asked four times a second")
    func answers() {
        var supervision = working()
        var pings = 0
        for time in stride(from: 0, to: 10_000, by: 10) {
            switch supervision.act(at: instant(time)) {
            case .ping(let number):
                pings += 1
                supervision.pong(number)
            case nil: break
            case let other: Issue.record("\(String(describing: other)) at \(time)")
            }
        }
        #expect(pings == 40)
    }

    @Test("One that leaves a ping unanswered for a second is ended, though it answered older ones")
    func silent() {
        var supervision = working()
        #expect(supervision.act(at: instant(0)) == .ping(1))
        supervision.pong(1)
        var killed: Int?
        for time in stride(from: 10, to: 3000, by: 10) where killed == nil {
            if case .kill = supervision.act(at: instant(time)) { killed = time }
        }
        #expect(killed == 1250)
        supervision.ended("killed", at: instant(1300))
        #expect(supervision.lastEnd?.cause == "it left a ping unanswered for 1.0 seconds")
        #expect(supervision.act(at: instant(1300)) == .start)
    }

    @Test("Who was held up itself, or slept with the host, doesn't blame the other")
    func heldUp() {
        var supervision = working()
        #expect(supervision.act(at: instant(0)) == .ping(1))
        #expect(supervision.act(at: instant(36_000_000)) == .ping(2))
        #expect(supervision.act(at: instant(36_000_200)) == nil)
    }

    @Test("The fifth end within half a minute makes the next start wait, and so on; then it is at once again")
    func backsOff() {
        var supervision = ControlSupervision(at: instant(0))
        var time = 0
        var pauses: [Int] = []
        for _ in 0..<9 {
            var waited = 0
            while supervision.act(at: instant(time)) != .start {
                time += 100
                waited += 100
            }
            pauses.append(waited)
            supervision.hello(at: instant(time))
            supervision.ended("killed by signal 9", at: instant(time))
        }
        #expect(pauses == [0, 0, 0, 0, 0, 1000, 2000, 5000, 10_000])
        #expect(supervision.ends == 9)
        supervision.ended("again", at: instant(time + 60_000))
        #expect(supervision.act(at: instant(time + 60_000)) == .start)
    }

    @Test("One that doesn't begin is ended")
    func doesNotBegin() {
        var supervision = ControlSupervision(at: instant(0))
        #expect(supervision.act(at: instant(0)) == .start)
        var killed: Int?
        for time in stride(from: 0, to: 20_000, by: 100) where killed == nil {
            if case .kill = supervision.act(at: instant(time)) { killed = time }
        }
        #expect(killed == 10_000)
    }
}
