// SPDX-License-Identifier: Apache-2.0
import Weft

/// Who is alive, by probes that somebody else sends. No I/O and no clock: time is passed in.
public struct HealthMachine {
    /// A probe to send.
    public struct Probe: Hashable {
        public let peer: String
        public let nonce: ProbeMessage.Nonce
        /// The one before it has no answer yet.
        public let isRepeated: Bool
    }

    /// What an answer brought about.
    public struct Answer: Hashable {
        public let change: Change?
    }

    /// A peer's health changed.
    public struct Change: Hashable {
        public let peer: String
        public let isHealthy: Bool
    }

    private struct Peer {
        var isHealthy = false
        var wasHeardOf = false
        var next: Instant
        /// Probes without an answer, the newest last.
        var open: [ProbeMessage.Nonce] = []
        /// When the first of these was sent.
        var silentSince: Instant?
        var misses = 0
        var answers = 0
        var deaths: [Instant] = []
        var heldUntil = Instant(nanoseconds: 0)
    }

    /// More unanswered probes than this are forgotten.
    private static let window = 8

    private let timing: ProbeTiming
    private var peers: [String: Peer] = [:]
    private var random: any RandomNumberGenerator
    /// The last answer of anybody.
    private var heard = Instant(nanoseconds: 0)
    /// Since when nobody has answered of those who did before: the fault may be ours.
    public private(set) var suspectsItselfSince: Instant?

    public init(_ timing: ProbeTiming, random: any RandomNumberGenerator = SystemRandomNumberGenerator()) {
        self.timing = timing
        self.random = random
    }

    /// Sets who is probed. New ones are probed at once; the others go on as they were.
    /// - Parameter health: what is known of new ones, such as by an agent before us.
    public mutating func setPeers(_ names: Set<String>, health: [String: Bool] = [:], at now: Instant) {
        for name in peers.keys where !names.contains(name) { peers[name] = nil }
        for name in names where peers[name] == nil {
            var peer = Peer(next: now)
            peer.isHealthy = health[name] ?? false
            peer.wasHeardOf = peer.isHealthy
            peers[name] = peer
        }
    }

    /// When ``advance(to:)`` has something to do.
    public var next: Instant { peers.values.map(\.next).min() ?? .distantFuture }

    /// The probes that are due, and what is known by the answers that didn't come.
    public mutating func advance(to now: Instant) -> (probes: [Probe], changes: [Change]) {
        var probes: [Probe] = []
        var changes: [Change] = []
        let healthyCount = peers.values.count { $0.isHealthy }
        for (name, peer) in peers where peer.next <= now {
            var peer = peer
            if !peer.open.isEmpty, peer.misses < Int.max {
                peer.misses += 1
                peer.answers = 0
            }
            if peer.isHealthy, peer.misses >= timing.threshold, !isOurFault(peer, healthyCount, at: now) {
                peer.isHealthy = false
                die(&peer, at: now)
                changes.append(Change(peer: name, isHealthy: false))
            }
            let nonce = ProbeMessage.Nonce(&random)
            probes.append(Probe(peer: name, nonce: nonce, isRepeated: !peer.open.isEmpty))
            if peer.open.isEmpty { peer.silentSince = now }
            peer.open.append(nonce)
            if peer.open.count > Self.window { peer.open.removeFirst() }
            peer.next = now.advanced(by: timing.interval * Double.random(in: 0.9...1.1, using: &random))
            peers[name] = peer
        }
        return (probes, changes)
    }

    /// Whether a peer's silence says more about us: several were healthy, and since it fell silent nobody has answered.
    private mutating func isOurFault(_ peer: Peer, _ healthyCount: Int, at now: Instant) -> Bool {
        guard healthyCount > 1 || suspectsItselfSince != nil, let since = peer.silentSince, heard < since else {
            return false
        }
        let suspected = suspectsItselfSince ?? now
        suspectsItselfSince = suspected
        return now < suspected.advanced(by: timing.patienceWithOurselves)
    }

    /// Takes an answer that was authenticated. One without a probe, or the second to the same, is nothing.
    public mutating func answer(from name: String, nonce: ProbeMessage.Nonce, at now: Instant) -> Answer? {
        guard var peer = peers[name], let index = peer.open.firstIndex(of: nonce) else { return nil }
        peer.open.removeFirst(index + 1)
        peer.silentSince = peer.open.isEmpty ? nil : now
        peer.misses = 0
        peer.answers += 1
        heard = now
        suspectsItselfSince = nil
        defer { peers[name] = peer }
        // Nothing is known against one that was never heard of: its first answer will do.
        let isEnough = !peer.wasHeardOf || peer.answers >= timing.recovery
        guard !peer.isHealthy, isEnough, now >= peer.heldUntil else { return Answer(change: nil) }
        peer.isHealthy = true
        peer.wasHeardOf = true
        return Answer(change: Change(peer: name, isHealthy: true))
    }

    private func die(_ peer: inout Peer, at now: Instant) {
        let memory = timing.memory
        peer.deaths = peer.deaths.filter { $0.advanced(by: memory) > now } + [now]
        guard peer.deaths.count > 1 else { return }
        let doublings = min(peer.deaths.count - 2, 10)
        peer.heldUntil = now.advanced(by: min(timing.holdDown * (1 << doublings), timing.longestHoldDown))
    }
}
