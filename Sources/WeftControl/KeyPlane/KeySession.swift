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

/// A session that an initiator has with a ``KeyResponder``.
final class KeySession {
    let id: SessionID
    let initiator: InitiatorLife
    /// Where it comes from, to which of our addresses, and data goes.
    var place: AddressPair
    /// When it may move again.
    var nextMove = Instant(nanoseconds: 0)
    let masterKeys: MasterKeys
    var allocator = SPIAllocator(role: .responder)
    /// What the initiator has offered.
    var offered = SPISet()
    /// VNIs that were granted here and not released.
    var granted: Set<UInt32> = []
    /// The initiator's streams that haven't ended.
    var incoming: [StreamID: ControlFrameReader] = [:]
    /// Streams whose requests wait for their turn.
    var waiting: Set<StreamID> = []
    /// Grants that the initiator isn't known to have.
    var answering: [StreamID: UInt32] = [:]

    init(_ id: SessionID, of initiator: InitiatorLife, at place: AddressPair, _ masterKeys: consuming MasterKeys) {
        self.id = id
        self.initiator = initiator
        self.place = place
        self.masterKeys = masterKeys
    }
}

/// A network that an initiator was granted.
struct Grant {
    let vni: UInt32
    let address: IPAddress
    let initiator: InitiatorLife
    /// Nil for a network from before our start: its session is gone, and its initiator will ask anew.
    let session: KeySession?
    /// Where its data went when it was granted.
    let firstPlace: AddressPair
    let expiry: Instant

    /// Where its initiator is.
    var place: AddressPair { session?.place ?? firstPlace }
}
