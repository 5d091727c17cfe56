// SPDX-License-Identifier: Apache-2.0
import Weft

/// The exchanges of a `weft/1` session, one at a time: its chain, or the exchange that has the chain at present.
final class Ratchet {
    private var chain: KeyChain?
    /// The initiator's offer, until it is answered.
    private var offered: OfferedExchange?
    /// The responder's answer, until it is confirmed.
    private var answered: AnsweredExchange?
    /// When the initiator must have confirmed it.
    private(set) var confirmationDue: Instant?
    /// The exchange that the initiator has confirmed, until the responder says that it has installed it.
    private(set) var confirmed: UInt32?
    /// A message of the initiator's that the session has allowed no stream for yet.
    typealias Unsent = (frame: [UInt8], receiveSPI: SPI, deadline: Instant)
    var unsent: Unsent?

    init(_ chain: consuming KeyChain) { self.chain = consume chain }

    /// Begins an exchange; what the peer gets.
    func offer(suite: Suite, receiveSPI: SPI) throws(RatchetError) -> RatchetMessage {
        let share: KeyShare
        do { share = try KeyShare.generate() } catch { throw .keyDerivation(error) }
        guard let chain = chain.take() else { throw .unexpected(type: 17) }
        let exchange = OfferedExchange(chain, suite: suite, receiveSPI: receiveSPI, share: share)
        self.chain = consume chain
        let message = RatchetMessage.offer(exchange.offer)
        offered = consume exchange
        return message
    }

    /// Takes the responder's answer.
    func conclude(with payload: Span<UInt8>) throws(RatchetError) -> AgreedKeys {
        guard let exchange = offered.take(), let chain = chain.take() else { throw .unexpected(type: 18) }
        let keys = try settle(try exchange.conclude(with: payload, chain: chain))
        confirmed = keys.exchange
        return keys
    }

    /// Takes the initiator's offer; the answer to it.
    func answer(
        _ payload: Span<UInt8>, suite: Suite, receiveSPI: SPI, until deadline: Instant
    ) throws(RatchetError) -> RatchetMessage {
        let share: KeyShare
        do { share = try KeyShare.generate() } catch { throw .keyDerivation(error) }
        guard let chain = chain.take() else { throw .unexpected(type: 17) }
        let exchange = try AnsweredExchange(
            to: payload, chain: chain, suite: suite, receiveSPI: receiveSPI, share: share)
        let message = exchange.answer
        answered = consume exchange
        confirmationDue = deadline
        return message
    }

    /// Takes the initiator's confirmation.
    func confirm(_ payload: Span<UInt8>) throws(RatchetError) -> AgreedKeys {
        guard let exchange = answered.take() else { throw .unexpected(type: 19) }
        confirmationDue = nil
        return try settle(try exchange.conclude(with: payload))
    }

    /// Whether an offer can be made: no exchange is under way.
    var isIdle: Bool { offered == nil && answered == nil && confirmed == nil }

    /// The responder has installed what the initiator confirmed.
    func finish() { confirmed = nil }

    private func settle(_ sas: consuming RatchetedSAs) throws(RatchetError) -> AgreedKeys {
        do {
            let agreed = AgreedKeys(
                exchange: sas.chain.exchanges,
                receiveSPI: sas.receive.spi.rawValue, receiveKey: try sas.receive.packetKey(),
                transmitSPI: sas.transmit.spi.rawValue, transmitKey: try sas.transmit.packetKey(),
                confirmation: sas.confirmation)
            let next = sas.next()
            chain = consume next
            return agreed
        } catch { throw .key(error) }
    }
}
