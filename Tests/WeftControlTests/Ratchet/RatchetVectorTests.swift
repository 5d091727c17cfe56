// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftTestSupport

@testable import WeftControl

@Suite("Vectors of the ratchet")
struct RatchetVectorTests {
    @Test("both ends' messages and keys, byte for byte", arguments: try RatchetVector.all())
    func vector(_ vector: RatchetVector) throws {
        var chains = try Chains(initiator: vector.makeChain(), responder: vector.makeChain())
        #expect(chains.initiator.secret.exposed == vector.chain.bytes)
        for step in vector.exchanges { chains = try run(step, consume chains) }
    }

    /// Both ends' chains of one session.
    private struct Chains: ~Copyable {
        let initiator: KeyChain
        let responder: KeyChain
    }

    private func run(_ step: RatchetVector.Exchange, _ chains: consuming Chains) throws -> Chains {
        let suite = try #require(Suite(rawValue: step.suite))
        let offered = OfferedExchange(
            chains.initiator, suite: suite, receiveSPI: try SPI(rawValue: step.initiatorSpi),
            share: try KeyShare(secret: SecretBytes(step.initiatorPrivate)))
        let offer = RatchetMessage.offer(offered.offer).payload
        #expect(offer == step.offer.bytes)
        let answered = try AnsweredExchange(
            to: offer.span, chain: chains.responder, suite: suite, receiveSPI: try SPI(rawValue: step.responderSpi),
            share: try KeyShare(secret: SecretBytes(step.responderPrivate)))
        let answer = answered.answer.payload
        #expect(answer == step.answer.bytes)
        let ours = try offered.conclude(with: answer.span, chain: chains.initiator)
        let proof = ours.confirmation
        let confirmation = try #require(proof).payload
        #expect(confirmation == step.confirmation.bytes)
        let theirs = try answered.conclude(with: confirmation.span)
        #expect(theirs.confirmation == nil)
        #expect(
            RatchetMessage.installed(exchange: theirs.chain.exchanges).payload == step.installed.bytes)
        #expect(ours.receive.key.exposed == step.initiatorReceives.bytes)
        #expect(ours.transmit.key.exposed == step.responderReceives.bytes)
        #expect(theirs.receive.key.exposed == step.responderReceives.bytes)
        #expect(theirs.transmit.key.exposed == step.initiatorReceives.bytes)
        #expect(ours.receive.spi.rawValue == step.initiatorSpi && ours.transmit.spi.rawValue == step.responderSpi)
        #expect(ours.chain.secret.exposed == step.chain.bytes)
        #expect(theirs.chain.secret.exposed == step.chain.bytes)
        return Chains(initiator: ours.next(), responder: theirs.next())
    }

    @Test("the shared secret of RFC 7748, section 6.1, and of each vector", arguments: try RatchetVector.all())
    func shared(_ vector: RatchetVector) throws {
        for step in vector.exchanges {
            let own = try KeyShare(secret: SecretBytes(step.initiatorPrivate))
            let other = try KeyShare(secret: SecretBytes(step.responderPrivate)).publicHalf
            guard let secret = try own.agree(with: other.span) else {
                Issue.record("no secret")
                return
            }
            #expect(secret.exposed == step.shared.bytes)
        }
    }

    @Test("shares that lead to a secret of zeros", arguments: try RatchetVector.uselessShares())
    func useless(_ share: Hex) throws {
        let isRefused = try KeyShare.generate().agree(with: share.bytes.span) == nil
        #expect(isRefused)
    }

    @Test("shares of a wrong length", arguments: [0, 1, 31, 33, 64])
    func length(_ count: Int) throws {
        let isRefused = try KeyShare.generate().agree(with: [UInt8](repeating: 9, count: count).span) == nil
        #expect(isRefused)
    }
}
