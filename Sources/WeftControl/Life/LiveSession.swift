// SPDX-License-Identifier: Apache-2.0
import Weft

/// A session with a peer, in use.
final class LiveSession {
    let id: SessionID
    /// Where its other end is.
    var place: Endpoint
    /// Whether the end with the initiator's role dialled it.
    let isInitiators: Bool
    /// Whether we dialled it.
    let isDialed: Bool
    /// Whether the peer says that it could call us after a restart.
    let peerCanCall: Bool?
    /// How long nothing authentic may come before we ask a peer that can't call us whether it still knows the session.
    let idleGap: Duration
    let since: Instant
    let vnis: SessionVNIs
    let keys: SessionKeys
    /// What the peer has offered.
    var offered = SPISet()
    var hasAgreed = false
    var exchange: OwnExchange?
    var nextRekey: Instant
    /// The peer's streams that haven't ended.
    var incoming: [StreamID: ControlFrameReader] = [:]
    /// Our own streams whose answer has come, and whose end hasn't.
    var draining: Set<StreamID> = []
    /// What we send with once the peer is known to be able to open it.
    var pending: PendingTransmit?
    /// The offers that the peer may make.
    var offers = Allowance(atOnce: 20, perSecond: 20)

    init(
        _ id: SessionID, at place: Endpoint, isInitiators: Bool, isDialed: Bool, peerCanCall: Bool?, idleGap: Duration,
        _ vnis: SessionVNIs, _ keys: SessionKeys, at now: Instant
    ) {
        self.id = id
        self.place = place
        self.isDialed = isDialed
        self.peerCanCall = peerCanCall
        self.idleGap = idleGap
        self.isInitiators = isInitiators
        self.vnis = vnis
        self.keys = keys
        since = now
        nextRekey = now
    }

    /// An exchange that we began.
    struct OwnExchange {
        let stream: StreamID
        let receiveSPI: SPI
        let deadline: Instant
        var reader = ControlFrameReader()
    }

    struct PendingTransmit {
        let receiveSPI: UInt32
        let transmitSPI: UInt32
        let key: PacketKey
        let expiry: Instant
        /// The stream of our answer, and when the peer is known to have it.
        let stream: StreamID
        var usableFrom: Instant?
    }
}
