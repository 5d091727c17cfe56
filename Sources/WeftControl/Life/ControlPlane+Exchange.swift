// SPDX-License-Identifier: Apache-2.0
import Weft

/// Agreement on SAs over a session's streams, as ICX does it: the initiator offers, the responder installs what it receives with
/// and answers, the initiator installs both directions, and the responder sends with the new key once it knows that.
extension ControlPlane {
    /// How long after the peer has our answer an ICX peer, whose transport runs beside it, may take to install it.
    private static let installTime = Duration.milliseconds(100)

    func offer(on session: LiveSession, of life: PeerLife, _ now: Instant) {
        if case .weft(let ratchet) = session.keys { return offer(ratchet, on: session, of: life, now) }
        do {
            let spi = try life.spis.next()
            let agreement = try SAAgreement(role: life.role, suite: life.peer.suite, receiveSPI: spi)
            guard let offer = agreement.opening,
                let stream = transport.open(ControlMessage.saOffer(offer).frame, on: session.id)
            else {
                session.nextRekey = now.advanced(by: .seconds(1))
                return
            }
            session.exchange = .init(
                stream: stream, receiveSPI: spi, deadline: now.advanced(by: Self.exchangeTimeout))
        } catch {
            end(life, "\(error)", code: CloseCode.failed, at: now)
        }
    }

    func received(_ id: SessionID, _ stream: StreamID, _ bytes: [UInt8], isEnd: Bool, _ now: Instant) {
        guard let life = bySession[id], let session = life.session, session.id == id else { return }
        if case .weft(let ratchet) = session.keys {
            return received(bytes, isEnd: isEnd, on: stream, ratchet, session, life, now)
        }
        if session.exchange?.stream == stream { return answered(bytes, isEnd: isEnd, session, life, now) }
        guard life.role == .responder else { return transport.abandon(stream, of: id) }
        var reader = session.incoming[stream] ?? ControlFrameReader()
        do {
            let payload = try reader.receive(bytes.span)
            session.incoming[stream] = reader
            if let payload { try respond(to: payload, on: stream, session, life, now) }
            if isEnd {
                session.incoming[stream] = nil
                try reader.end()
            }
        } catch {
            reader.drain()
            session.incoming[stream] = isEnd ? nil : reader
            transport.abandon(stream, of: id)
            fail(life, "\(error)", at: now)
        }
    }

    /// Ends the sessions whose SAs the engine refused.
    func handleRefusals(at now: Instant) {
        while let event = engine.nextEvent() { handle(event, at: now) }
    }

    private func handle(_ event: EngineEvent, at now: Instant) {
        guard case .refused(let network, let why) = event,
            let life = lives.values.first(where: { $0.peer.network == network })
        else { return }
        end(life, why, code: CloseCode.failed, at: now)
    }

    /// Throws what the engine refused just now, where that is known at once; ``handleRefusals(at:)`` hears the rest.
    func throwRefusal(of network: NetworkID, at now: Instant) throws(ExchangeError) {
        while let event = engine.nextEvent() {
            if case .refused(network, let why) = event { throw .refused(why) }
            handle(event, at: now)
        }
    }

    /// What a peer's offer can fail with beside the agreement itself.
    enum ExchangeError: Error, Hashable, CustomStringConvertible {
        case unexpected(type: UInt8)
        case repeatedSPI(UInt32)
        case tooOften
        /// By our own engine.
        case refused(String)

        var description: String {
            switch self {
            case .unexpected(let type):
                "control message type \(type) has no place here: run a peer that follows the protocol"
            case .repeatedSPI(let spi):
                "the peer offered SPI \(spi) a second time: run a peer that follows the protocol"
            case .refused(let why): why
            case .tooOften: "the peer offers keys more than 20 times a second: run a peer that follows the protocol"
            }
        }
    }

    /// The responder's part.
    private func respond(
        to payload: [UInt8], on stream: StreamID, _ session: LiveSession, _ life: PeerLife, _ now: Instant
    ) throws {
        guard case .icx(let keys) = session.keys else { return }
        let message = try ControlMessage(payload: payload.span)
        guard case .saOffer(let offer) = message else { throw ExchangeError.unexpected(type: message.kind.rawValue) }
        guard session.offers.admits(at: now) else { throw ExchangeError.tooOften }
        let spi = try life.spis.next()
        let agreed = try SAAgreement(role: life.role, suite: life.peer.suite, receiveSPI: spi)
            .conclude(with: offer, masterKeys: keys.masterKeys)
        guard session.offered.insert(offer.receiveSPI), let reply = agreed.reply else {
            throw ExchangeError.repeatedSPI(offer.receiveSPI)
        }
        let expiry = now.advanced(by: life.peer.associationLifetime)
        let receiveKey = try agreed.receive.packetKey()
        let transmitKey = try agreed.transmit.packetKey()
        // An earlier agreement that the peer never used makes way.
        engine.installReceive(
            spi: agreed.receive.spi.rawValue, key: receiveKey, expiry: expiry, vni: session.vnis.receive,
            for: life.peer.network, at: now)
        try throwRefusal(of: life.peer.network, at: now)
        session.pending = .init(
            receiveSPI: agreed.receive.spi.rawValue, transmitSPI: agreed.transmit.spi.rawValue, key: transmitKey,
            expiry: expiry, stream: stream)
        life.due = now
        transport.answer(ControlMessage.saOffer(reply).frame, on: stream, of: session.id)
    }

    /// The peer has all that we sent on a stream.
    func delivered(_ id: SessionID, _ stream: StreamID, _ now: Instant) {
        guard let life = bySession[id], let session = life.session, session.id == id,
            session.pending?.stream == stream
        else { return }
        session.pending?.usableFrom = life.isICX ? now.advanced(by: Self.installTime) : now
        confirm(session, of: life, now)
    }

    /// The responder sends with its new key as soon as the peer can open it: it has sent with its own new one, or it has
    /// our answer.
    func confirm(_ session: LiveSession, of life: PeerLife, _ now: Instant) {
        guard let pending = session.pending,
            pending.usableFrom.map({ now >= $0 }) ?? false
                || engine.isNewestReceive(pending.receiveSPI, usedBy: life.peer.network)
        else { return }
        session.pending = nil
        do {
            engine.installTransmit(
                spi: pending.transmitSPI, key: pending.key, expiry: pending.expiry, grace: Engine.grace,
                vni: session.vnis.transmit, for: life.peer.network, at: now)
            try throwRefusal(of: life.peer.network, at: now)
            agreed(session, life, now)
        } catch {
            end(life, "\(error)", code: CloseCode.failed, at: now)
        }
    }

    /// The initiator's part: the peer's answer, or a piece of it.
    private func answered(
        _ bytes: [UInt8], isEnd: Bool, _ session: LiveSession, _ life: PeerLife, _ now: Instant
    ) {
        guard case .icx(let keys) = session.keys, var exchange = session.exchange else { return }
        do {
            let payload = try exchange.reader.receive(bytes.span)
            session.exchange = exchange
            guard let payload else {
                if isEnd { try exchange.reader.end() }
                return
            }
            let message = try ControlMessage(payload: payload.span)
            guard case .saOffer(let offer) = message else {
                throw ExchangeError.unexpected(type: message.kind.rawValue)
            }
            let agreed = try SAAgreement(role: life.role, suite: life.peer.suite, receiveSPI: exchange.receiveSPI)
                .conclude(with: offer, masterKeys: keys.masterKeys)
            guard session.offered.insert(offer.receiveSPI) else {
                throw ExchangeError.repeatedSPI(offer.receiveSPI)
            }
            engine.install(
                try SAPair(agreed, until: now.advanced(by: life.peer.associationLifetime), session.vnis),
                for: life.peer.network, at: now)
            try throwRefusal(of: life.peer.network, at: now)
            session.exchange = nil
            session.nextRekey = now.advanced(by: life.peer.rekeyInterval)
            // The first datagram under the new key tells the responder that it may send with its own.
            engine.requestKeepAlive(of: life.peer.network)
            self.agreed(session, life, now)
        } catch {
            end(life, "\(error)", code: CloseCode.failed, at: now)
        }
    }

    func agreed(_ session: LiveSession?, _ life: PeerLife, _ now: Instant) {
        life.agreements += 1
        life.lastAgreement = now
        guard let session else { return }
        life.redial.reset()
        if !session.hasAgreed {
            say(life, "connected\(life.endpoint.map { " at \($0)" } ?? "")")
            life.lastFailure = nil
        }
        session.hasAgreed = true
    }

    func streamFailed(_ id: SessionID, _ stream: StreamID, _ now: Instant) {
        guard let life = bySession[id], let session = life.session, session.id == id else { return }
        session.incoming[stream] = nil
        session.draining.remove(stream)
        guard session.exchange?.stream == stream else { return }
        end(
            life, "the peer refused our offer of keys: check that both files name the same suite",
            code: CloseCode.failed, at: now)
    }
}

extension SecurityAssociation {
    /// The key as the engine wants it.
    borrowing func packetKey() throws(EngineError) -> PacketKey { try unsafe PacketKey(key.span.bytes) }
}
