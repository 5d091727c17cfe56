// SPDX-License-Identifier: Apache-2.0
import Weft

/// How often things are put back: at once, up to ten times a minute, and then every ten seconds. Who takes them away again and
/// again, another program as stubborn as this one, has to be found by a person.
struct RestorePacing {
    static let most = 10
    static let window = Duration.seconds(60)
    static let pause = Duration.seconds(10)

    private var times: [Instant] = []

    /// When something may be put back next; now or earlier means at once.
    func next(at now: Instant) -> Instant {
        let recent = times.filter { now < $0.advanced(by: Self.window) }
        guard recent.count >= Self.most, let last = recent.last else { return now }
        return last.advanced(by: Self.pause)
    }

    /// Notes that something was put back.
    mutating func restored(at now: Instant) {
        times.removeAll { now >= $0.advanced(by: Self.window) }
        times.append(now)
        if times.count > Self.most { times.removeFirst(times.count - Self.most) }
    }
}
