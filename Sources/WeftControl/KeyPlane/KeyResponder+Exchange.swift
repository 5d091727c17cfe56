// SPDX-License-Identifier: Apache-2.0
import Weft

/// Requests and releases: each is judged at once, the engine is told of all together, and once it has them they are
/// answered.
extension KeyResponder {
    /// What came since the engine was told last.
    struct Staged {
        /// Networks that the engine gets, with their keys.
        var added: [UInt32: SAPair] = [:]
        /// Networks whose endpoint or part in routing is another now.
        var changed: Set<UInt32> = []
        var removed: Set<UInt32> = []
        var answers: [Answer] = []
        /// Until when a release that came first waits for somebody's request, to go in one step with it; nil once there is one.
        var notBefore: Instant?

        var isEmpty: Bool { added.isEmpty && changed.isEmpty && removed.isEmpty && answers.isEmpty }
    }

    struct Answer {
        let session: SessionID
        let stream: StreamID
        let message: ControlMessage
        /// The network that must be there first.
        let vni: UInt32?
    }

    func received(_ session: KeySession, _ stream: StreamID, _ bytes: [UInt8], isEnd: Bool, _ now: Instant) {
        var reader = session.incoming[stream] ?? ControlFrameReader()
        do {
            let payload = try reader.receive(bytes.span)
            session.incoming[stream] = reader
            if let payload { take(try ControlMessage(payload: payload.span), on: stream, session, now) }
            if isEnd {
                session.incoming[stream] = nil
                try reader.end()
            }
        } catch {
            reader.drain()
            session.incoming[stream] = isEnd ? nil : reader
            breach(on: stream, session, now)
        }
    }

    /// Whoever breaks the protocol gets no answer but a reset stream.
    private func breach(on stream: StreamID, _ session: KeySession, _ now: Instant) {
        session.waiting.remove(stream)
        transport.abandon(stream, of: session.id)
        note(.protocolError, by: session.initiator, now)
    }

    func respond(to message: ControlMessage, on stream: StreamID, _ session: KeySession, _ now: Instant) {
        switch message {
        case .keyRequest(let offer, let address):
            staged.notBefore = nil
            do {
                let (vni, reply) = try grant(address, offer, session, now)
                session.answering[stream] = vni
                staged.answers.append(
                    Answer(
                        session: session.id, stream: stream, message: .keyGrant(.granted, reply, vni: vni), vni: vni))
            } catch {
                guard error != .protocolError else { return breach(on: stream, session, now) }
                note(error, by: session.initiator, now)
                let refusal = ControlMessage.keyGrant(error.status, SAOffer(suite: 0, receiveSPI: 0), vni: 0)
                staged.answers.append(Answer(session: session.id, stream: stream, message: refusal, vni: nil))
            }
        case .vniRelease(let vni):
            if staged.isEmpty { staged.notBefore = now.advanced(by: Self.step) }
            let status: ExchangeStatus
            if session.granted.contains(vni), let grant = grants[vni] {
                withdraw(grant, at: now)
                session.initiator.releases += 1
                status = .granted
            } else {
                status = .rejected
            }
            staged.answers.append(
                Answer(session: session.id, stream: stream, message: .releaseAnswer(status), vni: nil))
        case .saOffer, .keyGrant, .releaseAnswer: breach(on: stream, session, now)
        }
    }

    private func grant(
        _ address: IPAddress, _ offer: SAOffer, _ session: KeySession, _ now: Instant
    ) throws(KeyRefusal) -> (vni: UInt32, SAOffer) {
        let life = session.initiator
        guard mayHave(address, life.policy) else { throw .prefix }
        let older = grants.newest(of: address)
        if let older, older.initiator !== life { throw .held }
        guard life.held < life.policy.networks else { throw .limit }
        // An initiator that asks and releases in a loop uses up its own share, not everybody's.
        let share = life.policy.networks.multipliedReportingOverflow(by: AuthorizedInitiator.vnisPerNetwork)
        let taken = life.held + life.orphans.count + life.quarantined
        guard share.overflow || taken < share.partialValue else { throw .vnis }
        let expiry = now.advanced(by: configuration.lifetime)
        let (reply, pair) = try agree(offer, session, until: expiry)
        guard let vni = pool.take() else { throw .vnis }
        if let older { staged.changed.insert(older.vni) }
        grants.add(
            Grant(
                vni: vni, address: address, initiator: life, session: session, firstPlace: session.place,
                expiry: expiry))
        expiring.append((vni, expiry))
        session.granted.insert(vni)
        life.held += 1
        life.grants += 1
        staged.added[vni] = pair
        return (vni, reply)
    }

    private func agree(
        _ offer: SAOffer, _ session: KeySession, until expiry: Instant
    ) throws(KeyRefusal) -> (SAOffer, SAPair) {
        let suite = session.initiator.policy.suite
        guard offer.suite == suite.rawValue else { throw .suite }
        let spi: SPI
        do { spi = try session.allocator.next() } catch { throw .spis }
        do {
            let agreed = try SAAgreement(role: .responder, suite: suite, receiveSPI: spi)
                .conclude(with: offer, masterKeys: session.masterKeys)
            guard session.offered.insert(offer.receiveSPI), let reply = agreed.reply else {
                throw KeyRefusal.protocolError
            }
            return (reply, try SAPair(agreed, until: expiry))
        } catch {
            throw .protocolError
        }
    }

    /// Takes a network back: its VNI goes into quarantine, and the address is its next older holder's.
    func withdraw(_ grant: Grant, at now: Instant) {
        let life = grant.initiator
        let heir = grants.remove(grant.vni)
        if let session = grant.session {
            session.granted.remove(grant.vni)
            life.held -= 1
        } else {
            life.orphans.remove(grant.vni)
        }
        life.quarantined += 1
        pool.release(grant.vni, owner: life.number, until: now.advanced(by: configuration.lifetime))
        if let heir { staged.changed.insert(heir) }
        staged.changed.remove(grant.vni)
        // What the engine was never told of needn't be taken from it.
        if staged.added.removeValue(forKey: grant.vni) == nil { staged.removed.insert(grant.vni) }
    }

    func network(of grant: Grant) -> GrantedNetwork {
        let place = grant.place
        return GrantedNetwork(
            vni: grant.vni, address: grant.address, holder: grant.initiator.policy.publicKey,
            endpoint: configuration.dataPort.map { Endpoint(place.remote.address, port: $0) } ?? place.remote,
            localAddress: place.local, isReceiveOnly: grants.newest(of: grant.address)?.vni != grant.vni,
            expiry: grant.expiry)
    }

    /// Tells the engine, and then the initiators: nothing reaches them before the engine has done what it was told.
    func commit(at now: Instant) {
        var changes = GrantChanges()
        changes.removed = staged.removed
        changes.changed = staged.changed.filter { staged.added[$0] == nil }.compactMap { grants[$0] }
            .map { network(of: $0) }
        changes.added = staged.added.keys.compactMap { grants[$0] }.map { network(of: $0) }
        changes.keys = staged.added
        let answers = staged.answers
        staged = Staged()
        if !changes.isEmpty {
            takeStep(at: now)
            engine.apply(changes)
            for network in changes.added {
                guard let session = grants[network.vni]?.session,
                    transport.capabilities(of: session.id)?.carriesECN == true
                else { continue }
                engine.setECNMode(.normal, of: .vni(network.vni))
            }
        }
        handleRefusals(of: answers, at: now)
    }

    /// Takes back what the engine refused, and sends the answers that wait for what it was told.
    func handleRefusals(of answers: [Answer] = [], at now: Instant) {
        var refused: Set<UInt32> = []
        while let event = engine.nextEvent() {
            if case .grantRefused(let vni) = event { refused.insert(vni) }
        }
        send(answers, refused: refused)
        let answered = refused.subtracting(answers.compactMap(\.vni))
        for vni in refused { withdraw(refused: vni, wasAnswered: answered.contains(vni), at: now) }
    }

    /// The engine doesn't have a network. Whoever was told that it does loses the session, and asks anew.
    private func withdraw(refused vni: UInt32, wasAnswered: Bool, at now: Instant) {
        guard let grant = grants[vni] else { return }
        note(.vnis, by: grant.initiator, now)
        if wasAnswered, let session = grant.session {
            forget(session, at: now)
            transport.close(session.id, code: ControlPlane.CloseCode.failed, now: now)
        } else {
            withdraw(grant, at: now)
        }
        staged.removed.remove(vni)
    }

    private func send(_ answers: [Answer], refused: Set<UInt32>) {
        for answer in answers {
            var message = answer.message
            if let vni = answer.vni, refused.contains(vni) {
                message = .keyGrant(.vnisExhausted, SAOffer(suite: 0, receiveSPI: 0), vni: 0)
            }
            transport.answer(message.frame, on: answer.stream, of: answer.session)
        }
    }

    func note(_ refusal: KeyRefusal, by life: InitiatorLife, _ now: Instant) {
        life.refusals[refusal, default: 0] += 1
        guard now >= life.nextLog else { return }
        life.nextLog = now.advanced(by: .seconds(60))
        say(life, "refused: \(refusal)")
    }
}

extension SAPair {
    /// What an exchange agreed on, as the engine takes it.
    /// - Parameter vnis: nil for the network's own in both directions.
    init(_ agreed: borrowing AgreedSAs, until expiry: Instant, _ vnis: SessionVNIs? = nil) throws(EngineError) {
        self.init(
            receiveSPI: agreed.receive.spi.rawValue, receiveKey: try agreed.receive.packetKey(),
            transmitSPI: agreed.transmit.spi.rawValue, transmitKey: try agreed.transmit.packetKey(), expiry: expiry,
            receiveVNI: vnis?.receive, transmitVNI: vnis?.transmit)
    }
}
