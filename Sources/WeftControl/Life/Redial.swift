// SPDX-License-Identifier: Apache-2.0
import Weft

/// When a peer that doesn't answer is called again.
struct Redial {
    /// Between the beginnings of calls; the last goes on.
    private static let gaps: [Duration] = [
        .milliseconds(200), .milliseconds(500), .seconds(1), .seconds(2), .seconds(5),
    ]
    private static let icxGap = Duration.seconds(5)
    /// An unanswered call goes on for at least this long: the way may be long.
    private static let shortestCall = Duration.milliseconds(1500)

    /// How long a call goes on where other places are left to be called: long enough for an answer from a satellite, which then goes on
    /// as long as answers come.
    private static let candidateCall = Duration.seconds(1)

    private let isICX: Bool
    private var calls = 0
    /// The next call isn't due before.
    private(set) var due = Instant(nanoseconds: 0)
    /// When the call that is under way counts as unanswered.
    private(set) var givenUp = Instant.distantFuture

    init(isICX: Bool) { self.isICX = isICX }

    /// A call begins.
    /// - Parameter isLast: whether no other place is left to be called in this round; gaps grow from round to round.
    mutating func begin(at now: Instant, jitter: Double, isLast: Bool = true) {
        guard isLast else {
            due = now.advanced(by: Self.candidateCall)
            givenUp = due
            return
        }
        let gap = (isICX ? Self.icxGap : Self.gaps[min(calls, Self.gaps.count - 1)]) * (0.8 + 0.4 * jitter)
        calls += 1
        due = now.advanced(by: gap)
        givenUp = now.advanced(by: max(gap, Self.shortestCall))
    }

    /// The peer was there: the next call, should one be needed, is made at once.
    mutating func reset() {
        calls = 0
        due = Instant(nanoseconds: 0)
    }
}
