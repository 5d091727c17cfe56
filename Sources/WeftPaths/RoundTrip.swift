// SPDX-License-Identifier: Apache-2.0
import Weft

/// How long answers take, smoothed as TCP's timer does it (RFC 6298 section 2).
struct RoundTrip: Hashable, Sendable {
    private var smoothed: Duration?
    private var variation = Duration.zero

    private static let leastPatience = Duration.milliseconds(200)
    /// So that a path that went silent is known for that within 3 s, whatever its answers took; where they take longer by themselves, more.
    private static let usualPatience = Duration.milliseconds(500)
    private static let mostPatience = Duration.seconds(1)
    /// While nothing was measured.
    private static let firstPatience = Duration.milliseconds(350)

    mutating func add(_ sample: Duration) {
        guard let before = smoothed else {
            smoothed = sample
            variation = sample / 2
            return
        }
        let difference = before > sample ? before - sample : sample - before
        variation = variation * 3 / 4 + difference / 4
        smoothed = before * 7 / 8 + sample / 8
    }

    /// Nil before the first answer.
    var estimate: Duration? { smoothed }

    /// How long an answer is waited for before the question is asked again.
    var patience: Duration {
        guard let smoothed else { return Self.firstPatience }
        let usual = min(max(smoothed + variation * 4, Self.leastPatience), Self.usualPatience)
        return min(max(usual, smoothed * 5 / 4), Self.mostPatience)
    }
}
