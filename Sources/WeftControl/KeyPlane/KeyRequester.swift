// SPDX-License-Identifier: Apache-2.0
import Weft

/// Asks a ``KeyResponder`` for virtual networks, over one session that it begins when it's needed and keeps.
public final class KeyRequester: ControlMachine {
    /// Names a request; never used twice.
    public struct RequestID: Hashable, Sendable {
        let rawValue: UInt64
    }

    public enum Event: Sendable {
        case granted(RequestID, KeyGrant)
        case failed(RequestID, KeyRequestError)
        /// The session ended and these VNIs with it: the responder has released them.
        case lost([UInt32])
    }

    /// Whom to ask, and for what.
    public struct Configuration: Sendable {
        public var responder: PublicKey
        public var endpoint: Endpoint
        /// The responder's UDP port for data; nil where it shares one port for data and control.
        public var dataPort: UInt16?
        public var suite: Suite
        /// How long keys live; the responder goes by its own file.
        public var lifetime: Duration
        /// How long a request may take, calling included.
        public var timeout: Duration

        public static let defaultLifetime = Duration.seconds(3600)

        public init(
            responder: PublicKey, endpoint: Endpoint, dataPort: UInt16? = nil, suite: Suite = .aes128GCM,
            lifetime: Duration = defaultLifetime, timeout: Duration = .seconds(10)
        ) {
            self.responder = responder
            self.endpoint = endpoint
            self.dataPort = dataPort
            self.suite = suite
            self.lifetime = lifetime
            self.timeout = timeout
        }
    }

    let transport: any SessionTransport
    let configuration: Configuration
    private let jitter: () -> Double
    private var nextRequest: UInt64 = 1
    private var call: SessionID?
    private var redial = Redial(isICX: false)
    var session: Session?
    /// Not sent yet, in the order of asking.
    var waiting: [Request] = []
    var events = FIFO<Event>()
    private var isClosed = false

    /// An exchange that waits for the session or for a stream.
    struct Request {
        let kind: Kind
        let deadline: Instant

        enum Kind {
            case network(RequestID, IPAddress)
            case release(UInt32)
        }
    }

    /// - Parameter jitter: a number from 0 to 1 for each call.
    public init(
        _ configuration: Configuration, over transport: any SessionTransport,
        jitter: @escaping () -> Double = { .random(in: 0...1) }
    ) {
        self.configuration = configuration
        self.transport = transport
        self.jitter = jitter
        transport.authorize([configuration.responder: PeerTerms(streams: 0)])
    }

    // MARK: Asking

    /// Asks for a network for an overlay address. What comes of it is an event.
    public func request(_ address: IPAddress, at now: Instant) -> RequestID {
        let id = RequestID(rawValue: nextRequest)
        nextRequest += 1
        if isClosed {
            events.append(.failed(id, .closed))
        } else {
            waiting.append(Request(kind: .network(id, address), deadline: now.advanced(by: configuration.timeout)))
        }
        return id
    }

    /// Gives a network back. The caller has taken it from its engine.
    public func release(_ vni: UInt32, at now: Instant) {
        guard session?.held.remove(vni) != nil else { return }
        waiting.append(Request(kind: .release(vni), deadline: .distantFuture))
    }

    public func nextEvent() -> Event? { events.popFirst() }

    // MARK: Time and datagrams

    public func receive(_ datagram: Span<UInt8>, from source: AddressPair, now: Instant) {
        transport.receive(datagram, from: source, now: now)
    }

    public var nextDeadline: Instant {
        var deadline = transport.nextDeadline ?? .distantFuture
        if let next = waiting.first { deadline = min(deadline, next.deadline) }
        if let oldest = session?.oldestDeadline { deadline = min(deadline, oldest) }
        if call != nil {
            deadline = min(deadline, redial.givenUp)
        } else if session == nil, !waiting.isEmpty {
            deadline = min(deadline, redial.due)
        }
        return deadline
    }

    public func advance(to now: Instant) {
        transport.advance(to: now)
        while let event = transport.nextEvent() { handle(event, now) }
        giveUp(at: now)
        dialIfNeeded(now)
        send(at: now)
    }

    public func flush(now: Instant, _ send: (Span<UInt8>, AddressPair) -> Void) {
        transport.flush(now: now, send)
    }

    public func close(at now: Instant) {
        isClosed = true
        for session in [session?.id, call].compactMap(\.self) {
            transport.close(session, code: ControlPlane.CloseCode.done, now: now)
        }
        call = nil
        end(.closed)
        fail(waiting, .closed)
        waiting.removeAll()
    }

    private func handle(_ event: SessionEvent, _ now: Instant) {
        switch event {
        case .established(let id, _, _, _):
            guard id == call, let keys = MasterKeys.taken(from: transport, of: id) else {
                return transport.close(id, code: ControlPlane.CloseCode.failed, now: now)
            }
            call = nil
            session = Session(id, keys)
        case .ended(let id, _, let why):
            if id == call {
                call = nil
                // A wrong key or a refusal won't get better by calling again.
                switch why {
                case .wrongKey, .refused, .violation: failAll(.session(why))
                default: break
                }
            } else if id == session?.id {
                if session?.hasAnswered == true { redial.reset() }
                end(.session(why))
            }
        case .received(let id, let stream, let bytes, let isEnd):
            guard let session, session.id == id else { return }
            received(session, stream, bytes, isEnd: isEnd, now)
        case .streamFailed(let id, let stream):
            guard let session, session.id == id, let exchange = session.exchanges.removeValue(forKey: stream) else {
                return
            }
            if let request = exchange.request { events.append(.failed(request, .rejected)) }
        case .delivered, .moved: break
        }
    }

    private func giveUp(at now: Instant) {
        let late = waiting.filter { now >= $0.deadline }
        if !late.isEmpty {
            fail(late, .timeout)
            waiting.removeAll { now >= $0.deadline }
        }
        session?.giveUp(at: now) { events.append(.failed($0, .timeout)) }
        if let call, now >= redial.givenUp {
            transport.close(call, code: ControlPlane.CloseCode.done, now: now)
            self.call = nil
        }
    }

    private func dialIfNeeded(_ now: Instant) {
        guard session == nil, call == nil, !waiting.isEmpty, now >= redial.due else { return }
        redial.begin(at: now, jitter: jitter())
        call = transport.dial(configuration.responder, at: configuration.endpoint, now: now)
    }

    // MARK: Ends

    private func failAll(_ error: KeyRequestError) {
        fail(waiting, error)
        waiting.removeAll()
    }

    private func fail(_ requests: [Request], _ error: KeyRequestError) {
        for request in requests {
            if case .network(let id, _) = request.kind { events.append(.failed(id, error)) }
        }
    }

    /// The session is over, with all that it was used for.
    func end(_ why: KeyRequestError) {
        guard let session else { return }
        self.session = nil
        for exchange in session.exchanges.values {
            if let request = exchange.request { events.append(.failed(request, why)) }
        }
        // What was to be released is.
        waiting.removeAll { if case .release = $0.kind { true } else { false } }
        if !session.held.isEmpty { events.append(.lost(session.held.sorted())) }
    }
}
