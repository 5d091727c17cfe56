// SPDX-License-Identifier: Apache-2.0
import Weft

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
