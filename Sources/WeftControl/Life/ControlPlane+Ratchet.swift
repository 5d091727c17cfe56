// SPDX-License-Identifier: Apache-2.0
import Weft

/// Agreement on SAs between Weft's ends (docs/weft-1.md), in two streams of the initiator's: offer and answer, confirmation and
/// word that it is installed.
///
/// The initiator installs what it receives with before it confirms, and the responder both directions before it says so; then the
/// initiator sends with its new key. So no datagram is sealed with a key that the other end lacks, and none is
/// installed that only one end has.
extension ControlPlane {
    func offer(_ ratchet: Ratchet, on session: LiveSession, of life: PeerLife, _ now: Instant) {
        guard ratchet.isIdle else { return }
        do {
            let spi = try life.spis.next()
            let offer = try ratchet.offer(suite: life.peer.suite, receiveSPI: spi)
            session.nextRekey = .distantFuture
            send(
                (offer.frame, spi, now.advanced(by: Self.exchangeTimeout)), of: ratchet, on: session)
        } catch {
            fail(session, of: life, error, now)
        }
    }

    /// Sends a message of the initiator's, now or as soon as the session allows a stream for it.
    private func send(_ message: Ratchet.Unsent, of ratchet: Ratchet, on session: LiveSession) {
        guard let stream = transport.open(message.frame, on: session.id) else { return ratchet.unsent = message }
        ratchet.unsent = nil
        session.exchange = .init(stream: stream, receiveSPI: message.receiveSPI, deadline: message.deadline)
    }

    /// What an exchange needs as time goes by; false if the session has ended by that.
    func goOn(_ ratchet: Ratchet, of session: LiveSession, _ life: PeerLife, _ now: Instant) -> Bool {
        if let due = ratchet.unsent?.deadline ?? ratchet.confirmationDue, now >= due {
            end(life, "the peer left an exchange of keys unfinished", code: CloseCode.failed, at: now)
            return false
        }
        if let unsent = ratchet.unsent { send(unsent, of: ratchet, on: session) }
        return true
    }

    /// Bytes of a stream, or its end.
    func received(
        _ bytes: [UInt8], isEnd: Bool, on stream: StreamID, _ ratchet: Ratchet, _ session: LiveSession,
        _ life: PeerLife, _ now: Instant
    ) {
        guard !session.draining.contains(stream) else {
            if isEnd { session.draining.remove(stream) }
            return
        }
        let isOwn = session.exchange?.stream == stream
        // An end by itself says nothing: the first message's stream may end after it was read.
        guard isOwn || !bytes.isEmpty || session.incoming[stream] != nil else { return }
        do {
            guard isOwn || life.role == .responder else { throw RatchetError.offerFromResponder }
            var reader = (isOwn ? session.exchange?.reader : session.incoming[stream]) ?? ControlFrameReader()
            let payload = try reader.receive(bytes.span)
            if isEnd { try reader.end() }
            if isOwn {
                session.exchange?.reader = reader
                guard let payload else { return }
                if !isEnd { session.draining.insert(stream) }
                try answered(payload, ratchet, session, life, now)
            } else {
                session.incoming[stream] = isEnd ? nil : reader
                if let payload { try respond(to: payload, on: stream, ratchet, session, life, now) }
            }
        } catch {
            fail(session, of: life, error, now)
        }
    }

    // MARK: The initiator

    private func answered(
        _ payload: [UInt8], _ ratchet: Ratchet, _ session: LiveSession, _ life: PeerLife, _ now: Instant
    ) throws {
        guard let exchange = session.exchange else { return }
        session.exchange = nil
        guard let confirmed = ratchet.confirmed else {
            let keys = try ratchet.conclude(with: payload.span)
            guard let confirmation = keys.confirmation else { return }
            try install(keys, receiving: session, life, now)
            life.awaited = AwaitedTransmit(
                session: session.id, receiveSPI: keys.receiveSPI, transmitSPI: keys.transmitSPI,
                vni: session.vnis.transmit, key: keys.transmitKey,
                expiry: now.advanced(by: life.peer.sealingTime), until: exchange.deadline)
            life.due = now
            return send((confirmation.frame, exchange.receiveSPI, exchange.deadline), of: ratchet, on: session)
        }
        guard case .installed(confirmed) = try RatchetMessage(payload: payload.span) else {
            throw RatchetError.unexpected(type: payload[1])
        }
        ratchet.finish()
        session.nextRekey = now.advanced(by: life.peer.rekeyInterval)
        useAwaited(of: life, now, isInstalled: true)
    }

    /// Sends with the key that was agreed on last, once the responder is known to open it: it says so, or has sent with its own.
    ///
    /// The latter counts even if the session was lost in between.
    func useAwaited(of life: PeerLife, _ now: Instant, isInstalled: Bool = false) {
        guard let awaited = life.awaited else { return }
        guard isInstalled || engine.isNewestReceive(awaited.receiveSPI, usedBy: life.peer.network) else {
            if now >= awaited.until { life.awaited = nil }
            return
        }
        life.awaited = nil
        do {
            engine.installTransmit(
                spi: awaited.transmitSPI, key: awaited.key, expiry: awaited.expiry, grace: life.peer.grace,
                vni: awaited.vni, for: life.peer.network, at: now)
            try throwRefusal(of: life.peer.network, at: now)
            // So that the responder sees by data's way where we are, before there is data.
            engine.requestKeepAlive(of: life.peer.network)
            agreed(life.session.flatMap { $0.id == awaited.session ? $0 : nil }, life, now)
        } catch {
            end(life, "\(error)", code: CloseCode.failed, at: now)
        }
    }

    // MARK: The responder

    private func respond(
        to payload: [UInt8], on stream: StreamID, _ ratchet: Ratchet, _ session: LiveSession, _ life: PeerLife,
        _ now: Instant
    ) throws {
        guard case .confirmation = try RatchetMessage(payload: payload.span) else {
            guard session.offers.admits(at: now) else { throw RatchetError.tooOften }
            let answer = try ratchet.answer(
                payload.span, suite: life.peer.suite, receiveSPI: life.spis.next(),
                until: now.advanced(by: Self.exchangeTimeout))
            return transport.answer(answer.frame, on: stream, of: session.id)
        }
        let keys = try ratchet.confirm(payload.span)
        try install(keys, receiving: session, life, now)
        engine.installTransmit(
            spi: keys.transmitSPI, key: keys.transmitKey, expiry: now.advanced(by: life.peer.sealingTime),
            grace: life.peer.grace, vni: session.vnis.transmit, for: life.peer.network, at: now)
        try throwRefusal(of: life.peer.network, at: now)
        transport.answer(RatchetMessage.installed(exchange: keys.exchange).frame, on: stream, of: session.id)
        // A datagram under the new key says the same, should the answer be late.
        engine.requestKeepAlive(of: life.peer.network)
        agreed(session, life, now)
    }

    // MARK: Both

    private func install(
        _ keys: AgreedKeys, receiving session: LiveSession, _ life: PeerLife, _ now: Instant
    ) throws(ExchangeError) {
        guard session.offered.insert(keys.transmitSPI) else { throw .repeatedSPI(keys.transmitSPI) }
        let expiry = now.advanced(by: life.peer.sealingTime + ControlPeer.openingExcess)
        engine.installReceive(
            spi: keys.receiveSPI, key: keys.receiveKey, expiry: expiry, vni: session.vnis.receive,
            for: life.peer.network, at: now)
        try throwRefusal(of: life.peer.network, at: now)
    }

    /// An exchange that fails takes its session with it: its chain leads nowhere any more.
    private func fail(_ session: LiveSession, of life: PeerLife, _ error: any Error, _ now: Instant) {
        let isDifferent = error as? RatchetError == .differentKeys
        end(life, "\(error)", code: isDifferent ? CloseCode.differentKeys : CloseCode.failed, at: now)
    }
}
