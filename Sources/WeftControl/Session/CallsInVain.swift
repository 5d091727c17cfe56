// SPDX-License-Identifier: Apache-2.0
import Weft

/// Counts calls that came to nothing, and says so once a minute.
struct CallsInVain {
    private(set) var count: UInt64 = 0
    /// How QUIC calls it that a caller's application ends its call before it is known (RFC 9000, section 20.1): of two ends that
    /// call each other at once one does.
    private static let givenUp: UInt64 = 12
    private var nextLog = Instant(nanoseconds: 0)

    /// - Parameters:
    ///   - peer: who called, if that is known.
    ///   - what: what a known caller is called in the log.
    ///   - end: how its session ended. Those that we closed, or that were given up half-way, are no news.
    mutating func note(
        _ peer: PublicKey?, _ what: String, _ end: SessionEnd, at now: Instant, _ log: (String) -> Void
    ) {
        guard end != .closed, end != .timeout, end != .closedByPeer(code: Self.givenUp) else { return }
        count += 1
        guard now >= nextLog else { return }
        nextLog = now.advanced(by: .seconds(60))
        let who = peer.map { "\(what) \($0.shortName)" } ?? "a stranger"
        log("\(who) called in vain (\(count) such calls so far): \(end)")
    }
}
