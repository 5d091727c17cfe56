// SPDX-License-Identifier: Apache-2.0
import Weft

/// Names a session within its transport; never used twice.
public struct SessionID: Hashable, Sendable {
    public let rawValue: UInt64

    public init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// Names a stream within its session.
public struct StreamID: Hashable, Sendable {
    public let rawValue: Int64

    public init(rawValue: Int64) { self.rawValue = rawValue }
}

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

/// What carries sessions: authenticated, encrypted streams between two identities.
///
/// It does no I/O and reads no clock: datagrams go in and come out, and every call that could depend on the time is
/// given it. It is used by one thread at a time.
public protocol SessionTransport: AnyObject {
    /// Whose sessions are accepted, and by which terms. Calls without a tag are answered only while somebody is among them
    /// who can't make one.
    func authorize(_ peers: [PublicKey: PeerTerms])

    /// Begins a session with the peer of that key and no other.
    func dial(_ peer: PublicKey, at endpoint: Endpoint, now: Instant) -> SessionID?

    /// Takes a datagram, which anyone may have sent.
    /// - Parameter source: where it says that it comes from, and the address of ours that it was sent to: what answers it leaves
    ///   from there.
    func receive(_ datagram: Span<UInt8>, from source: AddressPair, now: Instant)

    /// Lets the time pass. Nothing happens before ``nextDeadline``.
    func advance(to now: Instant)

    /// When ``advance(to:)`` has something to do; nil for never.
    var nextDeadline: Instant? { get }

    /// Hands each datagram that is to be sent now to `send`, which must not keep it.
    func flush(now: Instant, _ send: (Span<UInt8>, AddressPair) -> Void)

    /// The next thing that happened.
    func nextEvent() -> SessionEvent?

    /// Sets what each peer is told first, where `weft/1` is spoken: it is asked once for each session.
    func greet(with capabilities: @escaping (PublicKey) -> Capabilities)

    /// What the other end of an established session can do; nil where ICX's protocol is spoken.
    func capabilities(of session: SessionID) -> Capabilities?

    /// What the other end was told; nil where ICX's protocol is spoken.
    func ownCapabilities(of session: SessionID) -> Capabilities?

    /// Hands over the secret that both ends exported from the session's handshake, once: the transport keeps nothing of it. Nil
    /// before the session is established, after its end, and the second time.
    func takeRootSecret(of session: SessionID) -> SecretBytes?

    /// Opens a stream, sends `message` on it and ends our direction; nil if the session allows no stream now.
    func open(_ message: [UInt8], on session: SessionID) -> StreamID?

    /// Sends `message` on the peer's stream and ends our direction.
    func answer(_ message: [UInt8], on stream: StreamID, of session: SessionID)

    /// Gives a stream up, in both directions.
    func abandon(_ stream: StreamID, of session: SessionID)

    /// Makes the peer answer soon, if it's there.
    func probe(_ session: SessionID)

    /// When the last authentic datagram of an established session came.
    func lastAuthentic(of session: SessionID) -> Instant?

    /// When anything came last for a session that may still be in its handshake; nobody has proved anything by that.
    func lastHeard(of session: SessionID) -> Instant?

    /// Ends a session and tells the peer.
    func close(_ session: SessionID, code: UInt64, now: Instant)
}

extension SessionTransport {
    /// Takes a datagram where the kernel chooses the address of ours that answers leave from.
    public func receive(_ datagram: Span<UInt8>, from source: Endpoint, now: Instant) {
        receive(datagram, from: AddressPair(source), now: now)
    }
}
