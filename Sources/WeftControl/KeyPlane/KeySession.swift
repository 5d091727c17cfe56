// SPDX-License-Identifier: Apache-2.0
import Weft

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
