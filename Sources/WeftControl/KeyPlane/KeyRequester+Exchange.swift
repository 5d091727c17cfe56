// SPDX-License-Identifier: Apache-2.0
import Weft

extension KeyRequester {
    /// The session with the responder, in use.
    final class Session {
        let id: SessionID
        let masterKeys: MasterKeys
        private var allocator = SPIAllocator(role: .initiator)
        /// Taken from the allocator for a request that found no stream: the next one uses it, so that numbers follow each
        /// other.
        private var spare: SPI?
        /// What the responder has offered.
        var offered = SPISet()
        /// What it granted, less what was released.
        var held: Set<UInt32> = []
        var exchanges: [StreamID: Exchange] = [:]
        /// Requests in the order of their deadlines; those that were answered are still among them.
        private var deadlines = FIFO<(stream: StreamID, deadline: Instant)>()
        /// The handshake alone doesn't say that the responder accepts us.
        var hasAnswered = false

        init(_ id: SessionID, _ masterKeys: consuming MasterKeys) {
            self.id = id
            self.masterKeys = masterKeys
        }

        func begin(_ exchange: Exchange, on stream: StreamID, until deadline: Instant) {
            exchanges[stream] = exchange
            if exchange.request != nil { deadlines.append((stream, deadline)) }
        }

        /// The next request's SPI; ``keep(_:)`` it if there is no stream to offer it on.
        func nextSPI() throws(SPIError) -> SPI {
            defer { spare = nil }
            return if let spare { spare } else { try allocator.next() }
        }

        func keep(_ spi: SPI) { spare = spi }

        var isHalfUsed: Bool { allocator.isHalfUsed }

        var oldestDeadline: Instant? { deadlines.first?.deadline }

        /// Lets go of requests that waited too long. Their streams stay: what is granted there yet is given back.
        func giveUp(at now: Instant, _ late: (RequestID) -> Void) {
            while let (stream, deadline) = deadlines.first {
                if let request = exchanges[stream]?.request {
                    guard now >= deadline else { break }
                    late(request)
                    exchanges[stream]?.request = nil
                }
                _ = deadlines.popFirst()
            }
        }
    }

    /// An exchange that is under way.
    struct Exchange {
        /// Who waits for the answer; nil for a release, or once nobody does.
        var request: RequestID?
        /// What was asked for; nil for a release.
        let asked: (address: IPAddress, receiveSPI: SPI)?
        var reader = ControlFrameReader()
    }

    /// Sends what waits, as far as the session has streams.
    func send(at now: Instant) {
        guard let session else { return }
        var sent = 0
        for request in waiting {
            guard open(request, on: session) else { break }
            sent += 1
        }
        waiting.removeFirst(sent)
        if session.isHalfUsed, waiting.isEmpty, session.exchanges.isEmpty, session.held.isEmpty {
            // The next request begins a session with SPIs of its own.
            transport.close(session.id, code: ControlPlane.CloseCode.done, now: now)
            end(.closed)
        }
    }

    private func open(_ request: Request, on session: Session) -> Bool {
        switch request.kind {
        case .release(let vni):
            guard let stream = transport.open(ControlMessage.vniRelease(vni: vni).frame, on: session.id) else {
                return false
            }
            session.begin(Exchange(request: nil, asked: nil), on: stream, until: request.deadline)
        case .network(let id, let address):
            let spi: SPI
            do { spi = try session.nextSPI() } catch {
                events.append(.failed(id, .spisExhausted))
                return true
            }
            let offer = SAOffer(suite: configuration.suite, receiveSPI: spi)
            let message = ControlMessage.keyRequest(offer, overlayAddress: address)
            guard let stream = transport.open(message.frame, on: session.id) else {
                session.keep(spi)
                return false
            }
            session.begin(Exchange(request: id, asked: (address, spi)), on: stream, until: request.deadline)
        }
        return true
    }

    func received(_ session: Session, _ stream: StreamID, _ bytes: [UInt8], isEnd: Bool, _ now: Instant) {
        guard var exchange = session.exchanges[stream] else { return transport.abandon(stream, of: session.id) }
        do {
            let payload = try exchange.reader.receive(bytes.span)
            session.exchanges[stream] = exchange
            if let payload {
                session.hasAnswered = true
                let grant = try grant(in: ControlMessage(payload: payload.span), exchange, session, now)
                session.exchanges[stream]?.request = nil
                if let request = exchange.request, let grant {
                    events.append(.granted(request, grant))
                } else if let grant {
                    // Nobody waits for it any more.
                    release(grant.vni, at: now)
                }
            }
            if isEnd {
                session.exchanges[stream] = nil
                try exchange.reader.end()
            }
        } catch {
            let failure = error as? KeyRequestError ?? .violation("\(error)")
            if case .violation = failure {
                session.exchanges[stream] = nil
                transport.abandon(stream, of: session.id)
            } else {
                session.exchanges[stream] = isEnd ? nil : exchange
                session.exchanges[stream]?.request = nil
            }
            if let request = exchange.request { events.append(.failed(request, failure)) }
        }
    }

    /// What an answer grants; nil for the answer to a release.
    private func grant(
        in message: ControlMessage, _ exchange: Exchange, _ session: Session, _ now: Instant
    ) throws -> KeyGrant? {
        guard let asked = exchange.asked else {
            guard case .releaseAnswer = message else { throw KeyRequestError.violation("unexpected message") }
            return nil
        }
        guard case .keyGrant(let status, let offer, let vni) = message else {
            throw KeyRequestError.violation("unexpected message")
        }
        switch status {
        case .rejected: throw KeyRequestError.rejected
        case .vnisExhausted: throw KeyRequestError.vnisExhausted
        case .spisExhausted: throw KeyRequestError.spisExhausted
        case .granted: break
        }
        // From here on the responder holds a network for us: it goes back unless somebody can use it.
        session.held.insert(vni)
        do {
            guard (1..<1 << 24).contains(vni) else { throw KeyRequestError.violation("VNI \(vni)") }
            let agreed = try SAAgreement(role: .initiator, suite: configuration.suite, receiveSPI: asked.receiveSPI)
                .conclude(with: offer, masterKeys: session.masterKeys)
            guard session.offered.insert(offer.receiveSPI) else {
                throw KeyRequestError.violation("SPI \(offer.receiveSPI) a second time")
            }
            let endpoint = configuration.dataPort.map { Endpoint(configuration.endpoint.address, port: $0) }
            return KeyGrant(
                vni: vni, overlayAddress: asked.address, endpoint: endpoint ?? configuration.endpoint,
                keys: try SAPair(agreed, until: now.advanced(by: configuration.lifetime)),
                carriesECN: transport.capabilities(of: session.id)?.carriesECN == true)
        } catch {
            release(vni, at: now)
            throw error
        }
    }
}
