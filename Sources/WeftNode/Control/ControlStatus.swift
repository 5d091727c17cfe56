// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftControl
import WeftPair

/// What the data process knows of the control process, and what that told last.
struct ControlStatus: Sendable {
    struct Process: Sendable {
        /// Nil while none runs.
        let id: Int32?
        /// Since when it works; nil while it doesn't.
        let workingSince: Instant?
        /// How many have ended.
        let ends: UInt64
        let lastEnd: String?
        let lastEndAt: Instant?
        /// Records that found no room on the way to it.
        let dropped: UInt64
    }

    var process: Process?
    /// By their networks.
    var peers: [NetworkID: PeerStatusRecord] = [:]
    /// What became of peers' names, by the same.
    var names: [NetworkID: NameStatusRecord] = [:]
    /// By number.
    var initiators: [UInt32: InitiatorStatusRecord] = [:]
    /// Calls that came to nothing.
    var turnedAway: [LinkKind: UInt64] = [:]
    /// Networks that are granted.
    var granted: [GrantRecord] = []
    /// The numbers that initiators are called by.
    var numbers: [PublicKey: UInt32] = [:]
    /// The newest request that it answers.
    var told: UInt64 = 0
    /// Records that weren't the control process' to send.
    var refused: UInt64 = 0

    func complaint(at now: Instant) -> String? {
        guard let process, process.workingSince == nil, let lastEnd = process.lastEnd else { return nil }
        return "the control process is away: \(lastEnd)"
    }
}
