// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// Limits what of a network's datagrams is decrypted and let in, in fixed windows of 100 ms. A window opens with the first datagram at
/// or after the previous one's end.
///
/// What is authentic and fresh counts for the peer. All else, forged or sent again, counts for the source that it came from, so that a
/// stranger who knows VNI and SPI uses up his own share and never the peer's. Sources fall into a fixed number of places by a
/// secret hash. The address that the peer was last heard from is always tried: who can forge that one has us decrypt what he sends,
/// which is all that he gets.
final class RateLimit: Sendable {
    /// Places for sources. In a window no more than the limit fails in each.
    static let places = 64

    private struct State {
        /// What the peer may still send.
        var peers: WindowLimit
        /// What failed in this window of each place's sources.
        var failures = InlineArray<64, UInt64>(repeating: 0)
        /// Where the peer was last heard from.
        var peer: IPAddress?

        mutating func enter(_ now: Instant) {
            if peers.enter(now) { failures = InlineArray(repeating: 0) }
        }
    }

    private let secret = UInt64.random(in: .min ... .max)
    private let state: Mutex<State>

    init(perSecond: UInt64) { state = Mutex(State(peers: WindowLimit(perSecond: perSecond))) }

    /// Why a datagram isn't to be decrypted; nil where it is.
    func refusal(of source: IPAddress, at now: Instant) -> DropReason? {
        let place = place(of: source)
        return state.withLock { state in
            state.enter(now)
            guard state.peers.left > 0 else { return .rateLimited }
            guard state.failures[place] >= state.peers.perWindow, source != state.peer else { return nil }
            return .failuresLimited
        }
    }

    /// Counts an authentic, fresh datagram; false where the peer has sent all that it may.
    func admits(from source: IPAddress, at now: Instant) -> Bool {
        state.withLock { state in
            state.enter(now)
            guard state.peers.admits(at: now) else { return false }
            state.peer = source
            return true
        }
    }

    /// Counts a datagram that was decrypted in vain.
    func failed(from source: IPAddress, at now: Instant) {
        let place = place(of: source)
        state.withLock { state in
            state.enter(now)
            state.failures[place] &+= 1
        }
    }

    private func place(of source: IPAddress) -> Int {
        Int(truncatingIfNeeded: SourceAddress(source).place(secret) % UInt64(Self.places))
    }
}
