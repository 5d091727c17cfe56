// SPDX-License-Identifier: Apache-2.0

extension SoakEvent {
    /// Steps of the host's wall clock: as somebody sets it, and as a host that starts without a battery gets the time.
    static let clockEvents: [SoakEvent] = [
        SoakEvent("the clock a little ahead", "step $((n - 50))", then: "step 0", needs: .ownClock),
        SoakEvent("the clock an hour ahead, and right again", "step 3600", then: "step 0", needs: .ownClock),
        SoakEvent("the clock a day behind, and right again", "step -86400", then: "step 0", needs: .ownClock),
        SoakEvent(
            "keys agreed on a year ahead", "step 31536000; signal KILL $control", then: "step 0", needs: .ownClock),
        SoakEvent(
            "keys agreed on long ago", "step -1700000000; signal KILL $control", then: "step 0", needs: .ownClock),
        SoakEvent(
            "the peer's keys agreed on long ago", at: .right, "step -1700000000; signal KILL $control", then: "step 0",
            needs: .ownClock),
    ]
}
