// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftControl
import WeftQUIC

/// No session's secret was taken, or several were.
struct NoSecret: Error {}

/// A transport that keeps what a real one gives away once, to compare both ends' secrets.
final class KeepingTransport: SessionTransport {
    let endpoint: QUICEndpoint
    private var roots: [SessionID: [UInt8]] = [:]

    init(_ endpoint: QUICEndpoint) { self.endpoint = endpoint }

    func takeRootSecret(of session: SessionID) -> SecretBytes? {
        guard let root = endpoint.takeRootSecret(of: session) else { return nil }
        roots[session] = Self.copy(of: root)
        return root
    }

    private static func copy(of secret: borrowing SecretBytes) -> [UInt8] {
        let bytes = secret.span
        return bytes.indices.map { bytes[$0] }
    }

    /// ICX's master keys of the only session whose secret was taken.
    var masterKeys: MasterKeys? {
        guard roots.count == 1, let root = roots.values.first else { return nil }
        return try? MasterKeys(rootSecret: SecretBytes(copying: root.span))
    }

    func authorize(_ peers: [PublicKey: PeerTerms]) { endpoint.authorize(peers) }

    func dial(_ peer: PublicKey, at place: Endpoint, now: Instant) -> SessionID? {
        endpoint.dial(peer, at: place, now: now)
    }

    func receive(_ datagram: Span<UInt8>, from source: AddressPair, now: Instant) {
        endpoint.receive(datagram, from: source, now: now)
    }

    func advance(to now: Instant) { endpoint.advance(to: now) }

    var nextDeadline: Instant? { endpoint.nextDeadline }

    func flush(now: Instant, _ send: (Span<UInt8>, AddressPair) -> Void) { endpoint.flush(now: now, send) }

    func nextEvent() -> SessionEvent? { endpoint.nextEvent() }

    func capabilities(of session: SessionID) -> Capabilities? { endpoint.capabilities(of: session) }

    func ownCapabilities(of session: SessionID) -> Capabilities? { endpoint.ownCapabilities(of: session) }

    func greet(with capabilities: @escaping (PublicKey) -> Capabilities) { endpoint.greet(with: capabilities) }

    func open(_ message: [UInt8], on session: SessionID) -> StreamID? { endpoint.open(message, on: session) }

    func answer(_ message: [UInt8], on stream: StreamID, of session: SessionID) {
        endpoint.answer(message, on: stream, of: session)
    }

    func abandon(_ stream: StreamID, of session: SessionID) { endpoint.abandon(stream, of: session) }

    func probe(_ session: SessionID) { endpoint.probe(session) }

    func lastAuthentic(of session: SessionID) -> Instant? { endpoint.lastAuthentic(of: session) }

    func lastHeard(of session: SessionID) -> Instant? { endpoint.lastHeard(of: session) }

    func close(_ session: SessionID, code: UInt64, now: Instant) { endpoint.close(session, code: code, now: now) }
}
