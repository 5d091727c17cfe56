// SPDX-License-Identifier: Apache-2.0
import Weft

/// What happened to a session.
public enum SessionEvent: Sendable {
    /// The handshake is done, and the peer has proved its key; with `weft/1` both ends have said what they can do. With ICX's
    /// protocol this doesn't yet mean at the end that dialled that the peer accepts ours: the first answer does.
    case established(SessionID, peer: PublicKey, at: AddressPair, dialed: Bool)
    /// Bytes of a stream, in order; `isEnd` with the last of them.
    case received(SessionID, StreamID, [UInt8], isEnd: Bool)
    /// The peer has all that was sent on a stream.
    case delivered(SessionID, StreamID)
    /// A stream is over that didn't end well.
    case streamFailed(SessionID, StreamID)
    /// The peer has been reached at, and has answered from, another address.
    case moved(SessionID, to: AddressPair)
    /// The last event of a session. `peer` is nil where it isn't known.
    case ended(SessionID, peer: PublicKey?, SessionEnd)
}
