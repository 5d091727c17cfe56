// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftControl

/// From which of two ports each peer is called: the tunnel's own, or a second one once calls from the own one have come to nothing for
/// long enough, and the own one again after the same. Without I/O and clock.
struct PortChoice {
    /// When calls have come to nothing for long enough.
    struct CallsInVain {
        private var since: Instant?
        private var patience = Self.shortest

        private static let shortest = Duration.seconds(20)
        private static let longest = Duration.seconds(300)

        /// Whether another port is to be tried now; the next one takes twice as long.
        mutating func judge(isReached: Bool, isCalling: Bool, at now: Instant) -> Bool {
            guard isCalling, !isReached else {
                since = nil
                if isReached { patience = Self.shortest }
                return false
            }
            guard let begin = since else {
                since = now
                return false
            }
            guard now >= begin.advanced(by: patience) else { return false }
            since = now
            patience = min(patience * 2, Self.longest)
            return true
        }
    }

    /// A peer that we call.
    struct Called {
        let state: ControlPeerStatus.State
        /// Where it is called.
        let places: [Endpoint]

        var isReached: Bool { state == .connected || state == .agreeing }
    }

    /// What the second port serves from now on.
    struct Change: Hashable {
        var places: Set<Endpoint>
        /// Whether it is to be another port than before, as calls from that came to nothing, too.
        var isFresh: Bool
    }

    private struct Peer {
        var calls = CallsInVain()
        var usesSecond = false
    }

    private var peers: [NetworkID: Peer] = [:]
    private var served: Set<Endpoint> = []

    /// Looks how calls are doing, about once a second; nil where all stays as it is.
    mutating func look(at called: [NetworkID: Called], _ now: Instant) -> Change? {
        peers = peers.filter { called[$0.key] != nil }
        let isOfUse = called.contains { peers[$0.key]?.usesSecond == true && $0.value.isReached }
        var isFresh = false
        for (network, call) in called {
            let isCalling = call.state == .dialing || call.state == .waiting
            let isInVain = peers[network, default: Peer()].calls
                .judge(isReached: call.isReached, isCalling: isCalling, at: now)
            guard isInVain else { continue }
            peers[network]?.usesSecond.toggle()
            if peers[network]?.usesSecond == true, !isOfUse { isFresh = true }
        }
        // Names come to stand for other addresses.
        let places = Set(called.filter { peers[$0.key]?.usesSecond == true }.flatMap(\.value.places))
        guard isFresh || places != served else { return nil }
        served = places
        return Change(places: places, isFresh: isFresh)
    }
}
