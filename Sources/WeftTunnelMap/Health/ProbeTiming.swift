// SPDX-License-Identifier: Apache-2.0
import Weft

/// When peers are probed, and when they count as dead or alive.
public struct ProbeTiming: Hashable, Sendable {
    /// Between two probes of a peer; a tenth more or less at random, so that agents don't march in step.
    public var interval = Duration.milliseconds(200)
    /// So many probes in a row without an answer, and the peer is dead: within a second, with the defaults.
    public var threshold = 3
    /// So many answers in a row, and one that was dead is alive.
    public var recovery = 3
    /// How long a peer stays dead at least after its second death within the memory; twice as long after each further one.
    public var holdDown = Duration.seconds(2)
    public var longestHoldDown = Duration.seconds(60)
    /// Deaths longer ago are forgotten.
    public var memory = Duration.seconds(120)
    /// When nobody answers any more, the fault is likely our own: so long all stay as they were.
    public var patienceWithOurselves = Duration.seconds(3)

    public init() {}
}
