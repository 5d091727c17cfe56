// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft

@testable import WeftGuard

struct PacingTests {
    private func at(_ milliseconds: UInt64) -> Instant { Instant(nanoseconds: (milliseconds + 1_000_000) * 1_000_000) }

    @Test func restoresTenTimesAMinuteAndThenEveryTenSeconds() {
        var pacing = RestorePacing()
        for time in 0..<10 as Range<UInt64> {
            #expect(pacing.next(at: at(time)) == at(time))
            pacing.restored(at: at(time))
        }
        #expect(pacing.next(at: at(10)) == at(10_009))
        pacing.restored(at: at(10_009))
        // The first of ten has to be a minute old.
        #expect(pacing.next(at: at(60_000)) == at(20_009))
        #expect(pacing.next(at: at(60_001)) == at(60_001))
    }

    @Test func looksSoonAfterAChangeAndNeverForMoreThanATenthOfTheTime() {
        var schedule = LookSchedule()
        #expect(schedule.next < at(0))
        schedule.looked(from: at(0), to: at(1))
        #expect(schedule.next == at(30_001))
        schedule.changed(at: at(2))
        #expect(schedule.next == at(10))
        schedule.changed(at: at(3))
        #expect(schedule.next == at(10))
        // A look that takes long, on a host with very many routes, still leaves the second.
        schedule.looked(from: at(100), to: at(500))
        schedule.changed(at: at(501))
        #expect(schedule.next == at(950))
    }
}
