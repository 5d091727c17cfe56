// SPDX-License-Identifier: Apache-2.0
import Weft

/// One initiator of a ``KeyResponder``, across its sessions.
final class InitiatorLife {
    var policy: AuthorizedInitiator
    /// Names it to the pool of VNIs; never used twice.
    let number: UInt32
    /// The oldest first.
    var sessions: [KeySession] = []
    var held = 0
    /// VNIs that it was granted before our start. They don't count as held: it will ask for their addresses again.
    var orphans: Set<UInt32> = []
    var quarantined = 0
    var grants: UInt64 = 0
    var releases: UInt64 = 0
    var refusals: [KeyRefusal: UInt64] = [:]
    /// Requests that had to wait.
    var delayed: UInt64 = 0
    /// When a refusal may be logged again.
    var nextLog = Instant(nanoseconds: 0)
    /// The other lines of its that may be logged.
    var lines = Allowance(atOnce: 8, every: .seconds(10))
    /// The requests and releases that it may make.
    var requests: Allowance
    /// Those that wait, and some that were given up meanwhile.
    var row = FIFO<KeyResponder.Request>()

    init(_ policy: AuthorizedInitiator, number: UInt32) {
        self.policy = policy
        self.number = number
        requests = policy.allowance
    }

    /// Requests that wait.
    var waiting: Int { sessions.reduce(0) { $0 + $1.waiting.count } }

    func status() -> InitiatorStatus {
        InitiatorStatus(
            publicKey: policy.publicKey, sessions: sessions.count, endpoint: sessions.last?.place.remote,
            networks: held + orphans.count,
            mostNetworks: policy.networks, quarantined: quarantined, grants: grants, releases: releases,
            delayed: delayed, refusals: refusals)
    }
}
