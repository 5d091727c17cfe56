// SPDX-License-Identifier: Apache-2.0
import Weft

/// Notices that we send and nothing authentic comes back; asks an idle peer that couldn't tell us of its restart.
struct Silence {
    private var lastAuthentic: Instant?
    private var sentThen: UInt64 = 0
    /// When the last sign of life came.
    private var heard: Instant?
    private var since: Instant?
    private var hasProbed = false

    /// Whether the peer owes us an answer.
    var isWatching: Bool { since != nil }

    /// When an idle peer is asked next.
    func question(after idleGap: Duration) -> Instant? { since == nil ? heard?.advanced(by: idleGap) : nil }

    enum Verdict {
        case fine
        /// Nothing is sent either: ask the peer whether it still knows the session.
        case ask
        /// Ask the peer whether it's there, and show it where we are. Told once for each silence.
        case probe
        /// The session is of no more use.
        case gone
    }

    static let probeAfter = Duration.seconds(1)
    static let goneAfter = Duration.seconds(2)
    /// The longest that an idle peer isn't asked. A restarted one is then up again within 3 s.
    static let idleGap = Duration.seconds(2)

    /// - Parameters:
    ///   - authentic: when something authentic came last, data or control.
    ///   - sent: datagrams sent so far.
    ///   - idleGap: after how long an idle peer is asked; nil for never.
    mutating func judge(authentic: Instant?, sent: UInt64, idleGap: Duration?, at now: Instant) -> Verdict {
        guard let heard, authentic == lastAuthentic, sent >= sentThen else {
            lastAuthentic = authentic
            sentThen = sent
            heard = authentic ?? now
            since = nil
            hasProbed = false
            return .fine
        }
        guard let since else {
            if sent > sentThen {
                since = now
            } else if let idleGap, now >= heard.advanced(by: idleGap) {
                since = now
                hasProbed = true
                return .ask
            }
            return .fine
        }
        if now >= since.advanced(by: Self.goneAfter) { return .gone }
        if !hasProbed, now >= since.advanced(by: Self.probeAfter) {
            hasProbed = true
            return .probe
        }
        return .fine
    }

    /// Begins anew, with a new session.
    mutating func reset() { self = Silence() }
}
