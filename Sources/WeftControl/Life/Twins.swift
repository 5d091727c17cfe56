// SPDX-License-Identifier: Apache-2.0
import Weft

/// Notices two hosts with one key, as after a machine was copied: each calls from a place of its own and takes the other's session,
/// whereupon that one calls again.
struct Twins {
    /// So often a session has gone back and forth between two places within ``window`` when two hosts are meant. One that moves doesn't
    /// come back as often.
    static let turns = 4
    static let window = Duration.seconds(10)
    /// How long they are remembered once neither takes the other's session any more. Who is turned away calls every 5 s.
    static let memory = Duration.seconds(60)
    /// How long after its last sign of life, which is asked for with each call of the other, a session keeps the other out.
    static let patience = Duration.seconds(8)
    /// So often our own session may make way within a minute for one that isn't ours.
    private static let losses = 3
    private static let lossWindow = Duration.seconds(60)
    private static let most = 16

    private var takeovers: [(from: Endpoint, to: Endpoint, at: Instant)] = []
    private var lost: [Instant] = []
    /// Where both were last, in a fixed order; empty while there is one.
    private(set) var places: [Endpoint] = []
    private var until = Instant(nanoseconds: 0)

    /// A session from one place would take the place of one from another that lives; whether two hosts are behind that.
    mutating func take(from: Endpoint, to: Endpoint, at now: Instant) -> Bool {
        takeovers.removeAll { now > $0.at.advanced(by: Self.window) }
        if takeovers.count == Self.most { takeovers.removeFirst() }
        takeovers.append((from, to, now))
        let turns = takeovers.count { ($0.from, $0.to) == (from, to) || ($0.from, $0.to) == (to, from) }
        // Who calls in vain may do so from another port each time.
        guard turns >= Self.turns || now < until else { return false }
        places = [from, to].sorted { "\($0)" < "\($1)" }
        until = now.advanced(by: Self.memory)
        return true
    }

    /// Our own session made way at the peer for one that isn't ours; whether that happens too often for a chance.
    mutating func lose(at now: Instant) -> Bool {
        lost.removeAll { now > $0.advanced(by: Self.lossWindow) }
        if lost.count == Self.most { lost.removeFirst() }
        lost.append(now)
        return lost.count > Self.losses
    }

    /// Forgets hosts that don't call any more.
    mutating func forget(at now: Instant) {
        if !places.isEmpty, now >= until { places = [] }
    }
}
