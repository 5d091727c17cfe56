// SPDX-License-Identifier: Apache-2.0
import Weft

/// Why a session is over.
public enum SessionEnd: Hashable, Sendable, CustomStringConvertible {
    /// We closed it.
    case closed
    /// The peer closed it, with the error code it gave.
    case closedByPeer(code: UInt64)
    /// Nothing came for the idle time, or the handshake didn't finish in its time.
    case timeout
    /// The peer has lost the session: it was restarted.
    case reset
    /// The other end proved to have another key than the one that its peer is known by, or none.
    case wrongKey
    /// The other end refused our key, or what we offered in the handshake.
    case refused(String)
    /// The other end called as Weft's first release does, and its section doesn't say that it may.
    case firstRelease
    /// The other end broke the protocol.
    case violation(String)

    public var description: String {
        switch self {
        case .closed: "closed"
        case .closedByPeer(code: 0): "the peer ended the session"
        case .closedByPeer(code: ControlPlane.CloseCode.differentKeys): RatchetError.differentKeysText
        case .closedByPeer(let code): "the peer closed the session (code \(code))"
        // Who is called by a key that isn't its own stays silent.
        case .timeout:
            "no answer: check the peer's endpoint, that each end's PublicKey is the other's `weft pubkey`, and that nothing "
                + "between blocks UDP"
        case .reset: "the peer was restarted"
        case .wrongKey:
            "the other end has another key than PublicKey says, or none: compare it with `weft pubkey` there"
        case .refused(let why): "the peer refused us (\(why)): check that its file names this end's public key"
        case .firstRelease:
            "the peer runs the first release of Weft, and called us: say Protocol = 1 in its section, or bring it up to date"
        case .violation(let why): "the peer broke the protocol (\(why)): run a peer that follows it"
        }
    }
}
