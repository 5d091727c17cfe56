// SPDX-License-Identifier: Apache-2.0
import Weft

/// Why an exchange failed, and with it its session.
enum RatchetError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The two ends came to different keys.
    case differentKeys
    /// The peer's share leads to a secret that everybody knows.
    case uselessShare
    /// The exchange isn't the one that comes next.
    case outOfOrder(got: UInt32, expected: UInt32)
    /// A message of this type came in another's place.
    case unexpected(type: UInt8)
    /// The responder began an exchange.
    case offerFromResponder
    case tooOften
    case message(RatchetMessageError)
    case association(SAAgreementError)
    case keyDerivation(KeyDerivationError)
    /// By our own engine.
    case key(EngineError)

    var description: String {
        switch self {
        case .differentKeys: Self.differentKeysText
        case .uselessShare:
            "the peer's key share is of no use (RFC 7748, section 6.1): run a peer that follows the protocol"
        case .outOfOrder(let got, let expected):
            "the peer is at exchange \(got), and \(expected) is next: run a peer that follows the protocol"
        case .unexpected(let type):
            "message type \(type) has no place here: run a peer that follows the protocol"
        case .offerFromResponder:
            "the peer offered keys, and its key is the higher one: run a peer that follows the protocol"
        case .tooOften: "the peer offers keys more than 20 times a second: run a peer that follows the protocol"
        case .message(let error): error.description
        case .association(let error): error.description
        case .keyDerivation(let error): error.description
        case .key(let error): error.description
        }
    }

    /// What both ends say: one finds it out, the other is told so.
    static let differentKeysText =
        "the preshared keys differ: give both ends' sections for each other the same PresharedKey, or none"
}

/// What an exchange leads to at one end, once the other has confirmed it.
struct RatchetedSAs: ~Copyable {
    /// What the other end is still to get; nil at the responder.
    let confirmation: RatchetMessage?
    let chain: KeyChain
    /// For what the peer seals: its SPI is the one that we offered.
    let receive: SecurityAssociation
    /// For what we seal: its SPI is the one that the peer offered.
    let transmit: SecurityAssociation

    /// What the next exchange goes on from; the keys are gone.
    consuming func next() -> KeyChain { chain }
}

/// The initiator's part in one exchange, from its offer to the responder's answer.
struct OfferedExchange: ~Copyable {
    private let suite: Suite
    private let receiveSPI: SPI
    private let share: KeyShare
    /// What the peer gets.
    let offer: KeyOffer

    /// The exchange that takes a chain further.
    init(
        _ chain: borrowing KeyChain, suite: Suite, receiveSPI: SPI, share: consuming KeyShare
    ) {
        self.suite = suite
        self.receiveSPI = receiveSPI
        offer = KeyOffer(
            exchange: chain.exchanges &+ 1, association: SAOffer(suite: suite, receiveSPI: receiveSPI),
            share: share.publicHalf)
        self.share = share
    }

    /// Judges the responder's answer, and proves that it had the right one. The chain is spent, whatever comes of it.
    consuming func conclude(
        with payload: Span<UInt8>, chain: consuming KeyChain
    ) throws(RatchetError) -> RatchetedSAs {
        let message = try RatchetMessage(reading: payload)
        guard case .answer(let answer, let mac) = message else { throw .unexpected(type: message.kind.rawValue) }
        guard answer.exchange == offer.exchange else {
            throw .outOfOrder(got: answer.exchange, expected: offer.exchange)
        }
        let transmitSPI = try KeyOffer.peersSPI(answer, role: .initiator, suite, receiveSPI)
        let transcript = KeyOffer.transcript(offer: offer, answer: answer)
        let number = offer.exchange
        let step = try chain.step(share, with: answer.share, transcript, suite)
        guard try step.responderConfirms.confirms(mac, transcript) else { throw .differentKeys }
        let own = try step.initiatorConfirms.mac(of: transcript + mac)
        return RatchetedSAs(
            confirmation: .confirmation(exchange: number, mac: own), chain: step.chain,
            receive: SecurityAssociation(spi: receiveSPI, suite: suite, key: step.initiatorReceives),
            transmit: SecurityAssociation(spi: transmitSPI, suite: suite, key: step.responderReceives))
    }
}

/// The responder's part in one exchange, from its answer to the initiator's confirmation.
struct AnsweredExchange: ~Copyable {
    private let sas: RatchetedSAs
    private let confirms: SecretBytes
    private let confirmed: [UInt8]
    /// What the peer gets.
    let answer: RatchetMessage

    /// Judges the initiator's offer. The chain is spent, whatever comes of it.
    init(
        to payload: Span<UInt8>, chain: consuming KeyChain, suite: Suite, receiveSPI: SPI, share: consuming KeyShare
    ) throws(RatchetError) {
        let message = try RatchetMessage(reading: payload)
        guard case .offer(let offer) = message else { throw .unexpected(type: message.kind.rawValue) }
        let number = chain.exchanges &+ 1
        guard offer.exchange == number else { throw .outOfOrder(got: offer.exchange, expected: number) }
        let transmitSPI = try KeyOffer.peersSPI(offer, role: .responder, suite, receiveSPI)
        let answer = KeyOffer(
            exchange: number, association: SAOffer(suite: suite, receiveSPI: receiveSPI), share: share.publicHalf)
        let transcript = KeyOffer.transcript(offer: offer, answer: answer)
        let step = try chain.step(share, with: offer.share, transcript, suite)
        let mac = try step.responderConfirms.mac(of: transcript)
        self.answer = .answer(answer, mac: mac)
        confirmed = transcript + mac
        confirms = step.initiatorConfirms
        sas = RatchetedSAs(
            confirmation: nil, chain: step.chain,
            receive: SecurityAssociation(spi: receiveSPI, suite: suite, key: step.responderReceives),
            transmit: SecurityAssociation(spi: transmitSPI, suite: suite, key: step.initiatorReceives))
    }

    /// Judges the initiator's confirmation.
    consuming func conclude(with payload: Span<UInt8>) throws(RatchetError) -> RatchetedSAs {
        let message = try RatchetMessage(reading: payload)
        guard case .confirmation(let exchange, let mac) = message else {
            throw .unexpected(type: message.kind.rawValue)
        }
        guard exchange == sas.chain.exchanges else {
            throw .outOfOrder(got: exchange, expected: sas.chain.exchanges)
        }
        guard try confirms.confirms(mac, confirmed) else { throw .differentKeys }
        return sas
    }
}

extension RatchetMessage {
    fileprivate init(reading payload: Span<UInt8>) throws(RatchetError) {
        do { try self.init(payload: payload) } catch { throw .message(error) }
    }
}

extension KeyOffer {
    fileprivate static func peersSPI(
        _ peer: KeyOffer, role: Role, _ suite: Suite, _ own: SPI
    ) throws(RatchetError) -> SPI {
        do {
            return try SAAgreement(role: role, suite: suite, receiveSPI: own).transmitSPI(of: peer.association)
        } catch { throw .association(error) }
    }
}

extension KeyChain {
    fileprivate consuming func step(
        _ share: consuming KeyShare, with other: [UInt8], _ transcript: [UInt8], _ suite: Suite
    ) throws(RatchetError) -> Step {
        let shared: SecretBytes?
        do { shared = try share.agree(with: other.span) } catch { throw .keyDerivation(error) }
        guard let shared else { throw .uselessShare }
        do {
            return try step(shared: shared, transcript: transcript, keyByteCount: suite.keyLength)
        } catch { throw .keyDerivation(error) }
    }
}

extension SecretBytes {
    fileprivate borrowing func mac(of transcript: [UInt8]) throws(RatchetError) -> [UInt8] {
        let mac = try proof(of: transcript)
        let bytes = mac.span
        return bytes.indices.map { bytes[$0] }
    }

    /// Whether a MAC is this key's, in constant time.
    fileprivate borrowing func confirms(_ mac: [UInt8], _ transcript: [UInt8]) throws(RatchetError) -> Bool {
        try proof(of: transcript).isEqual(to: SecretBytes(copying: mac.span))
    }

    private borrowing func proof(of transcript: [UInt8]) throws(RatchetError) -> SecretBytes {
        do {
            return try KeyDerivation.hmac(key: span, message: transcript.span)
        } catch { throw .keyDerivation(error) }
    }
}
