// SPDX-License-Identifier: Apache-2.0
import Weft

/// What the initiator sends with once the responder is known to open it.
struct AwaitedTransmit {
    /// The session of its exchange, which may have ended.
    let session: SessionID
    let receiveSPI: UInt32
    let transmitSPI: UInt32
    /// What our datagrams bear then.
    let vni: UInt32
    let key: PacketKey
    let expiry: Instant
    /// Until when it is waited for.
    let until: Instant
}
