// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftTestSupport

@testable import WeftControl

@Suite("Exchanges of the ratchet")
struct RatchetExchangeTests {
    private let initiator: PublicKey
    private let responder: PublicKey
    private let root = [UInt8](repeating: 5, count: 32)

    init() throws {
        let keys = try [Identity.generate().publicKey, Identity.generate().publicKey]
            .sorted { $0.subjectPublicKeyInfo.lexicographicallyPrecedes($1.subjectPublicKeyInfo) }
        (initiator, responder) = (keys[0], keys[1])
    }

    private func chain(_ preshared: UInt8? = nil, root: [UInt8]? = nil) throws -> KeyChain {
        let key = preshared.flatMap {
            PresharedKey(SecretBytes(copying: [UInt8](repeating: $0, count: 32).span))
        }
        let bytes = root ?? self.root
        return try KeyChain(
            rootSecret: SecretBytes(copying: bytes.span), presharedKey: key, initiator: initiator,
            responder: responder)
    }

    private func offered(_ chain: borrowing KeyChain, _ spi: UInt32 = 7) throws -> OfferedExchange {
        OfferedExchange(
            chain, suite: .aes128GCM, receiveSPI: try SPI(rawValue: spi), share: try KeyShare.generate())
    }

    private func answered(
        to payload: [UInt8], _ chain: consuming KeyChain, suite: Suite = .aes128GCM
    ) throws -> AnsweredExchange {
        try AnsweredExchange(
            to: payload.span, chain: chain, suite: suite, receiveSPI: try SPI(rawValue: 0x4000_0009),
            share: try KeyShare.generate())
    }

    /// What the initiator says of an answer; nil for good.
    private func failure(
        of exchange: consuming OfferedExchange, with answer: [UInt8], _ chain: consuming KeyChain
    ) -> RatchetError? {
        do throws(RatchetError) {
            _ = try exchange.conclude(with: answer.span, chain: chain)
            return nil
        } catch { return error }
    }

    /// What the responder says of a confirmation; nil for good.
    private func failure(of exchange: consuming AnsweredExchange, with confirmation: [UInt8]) -> RatchetError? {
        do throws(RatchetError) {
            _ = try exchange.conclude(with: confirmation.span)
            return nil
        } catch { return error }
    }

    private func changed(_ bytes: [UInt8], at index: Int) -> [UInt8] {
        var bytes = bytes
        bytes[index] ^= 1
        return bytes
    }

    @Test(
        "unequal preshared keys, or one alone, are found before anything is installed",
        arguments: [(1, 2), (1, nil), (nil, 1)] as [(UInt8?, UInt8?)])
    func preshared(own: UInt8?, other: UInt8?) throws {
        let begun = try chain(own)
        let exchange = try offered(begun)
        let answer = try answered(to: RatchetMessage.offer(exchange.offer).payload, chain(other)).answer.payload
        let why = failure(of: exchange, with: answer, begun)
        #expect(why == .differentKeys)
    }

    @Test("another session's chain leads nowhere")
    func otherRoot() throws {
        let begun = try chain()
        let exchange = try offered(begun)
        let other = try chain(root: [UInt8](repeating: 6, count: 32))
        let answer = try answered(to: RatchetMessage.offer(exchange.offer).payload, other).answer.payload
        let why = failure(of: exchange, with: answer, begun)
        #expect(why == .differentKeys)
    }

    /// Each byte of each message counts.
    @Test("what was changed on its way installs nothing", arguments: 0..<3)
    func tampering(message: Int) throws {
        let count = [43, 75, 38][message]
        for index in 0..<count {
            let begun = try chain()
            let exchange = try offered(begun)
            var offer = RatchetMessage.offer(exchange.offer).payload
            if message == 0 { offer = changed(offer, at: index) }
            guard let answering = try? answered(to: offer, chain()) else { continue }
            var answer = answering.answer.payload
            #expect(answer.count == 75)
            if message == 1 { answer = changed(answer, at: index) }
            guard message == 2 else {
                let why = failure(of: exchange, with: answer, begun)
                #expect(why != nil, "byte \(index)")
                continue
            }
            let concluded = try exchange.conclude(with: answer.span, chain: begun)
            let proof = concluded.confirmation
            let confirmation = try #require(proof).payload
            let why = failure(of: answering, with: changed(confirmation, at: index))
            #expect(why != nil, "byte \(index)")
        }
    }

    @Test("shares of small order", arguments: try RatchetVector.uselessShares())
    func useless(_ share: Hex) throws {
        let association = SAOffer(suite: 0, receiveSPI: 7)
        let offer = RatchetMessage.offer(KeyOffer(exchange: 1, association: association, share: share.bytes))
        #expect(throws: RatchetError.uselessShare) { try answered(to: offer.payload, chain()).answer }
        let begun = try chain()
        let answer = RatchetMessage.answer(
            KeyOffer(
                exchange: 1, association: SAOffer(suite: 0, receiveSPI: 0x4000_0001), share: share.bytes),
            mac: [UInt8](repeating: 0, count: 32))
        let exchange = try offered(begun)
        let why = failure(of: exchange, with: answer.payload, begun)
        #expect(why == .uselessShare)
    }

    @Test("an earlier or later exchange's messages, another suite, and SPIs of the wrong end")
    func outOfPlace() throws {
        for number: UInt32 in [0, 2, .max] {
            let offer = RatchetMessage.offer(
                KeyOffer(exchange: number, association: SAOffer(suite: 0, receiveSPI: 7), share: [UInt8](1...32)))
            #expect(throws: RatchetError.outOfOrder(got: number, expected: 1)) {
                try answered(to: offer.payload, chain()).answer
            }
        }
        let offer = RatchetMessage.offer(
            KeyOffer(exchange: 1, association: SAOffer(suite: 0, receiveSPI: 7), share: [UInt8](1...32)))
        #expect(throws: RatchetError.association(.suiteMismatch(own: .aes256GCM, peer: 0))) {
            try answered(to: offer.payload, chain(), suite: .aes256GCM).answer
        }
        for spi: UInt32 in [0, 0x4000_0007, 0x8000_0007, 0x8000_0000] {
            let offer = RatchetMessage.offer(
                KeyOffer(exchange: 1, association: SAOffer(suite: 0, receiveSPI: spi), share: [UInt8](1...32)))
            #expect(throws: RatchetError.self) { try answered(to: offer.payload, chain()).answer }
        }
        let begun = try chain()
        let exchange = try offered(begun)
        let own = RatchetMessage.offer(exchange.offer).payload
        let why = failure(of: exchange, with: own, begun)
        #expect(why == .unexpected(type: 17))
    }

    @Test("a thousand exchanges in a row: both ends always have the same keys, and no key comes twice")
    func chainOfExchanges() throws {
        var ours: KeyChain? = try chain(3)
        var theirs: KeyChain? = try chain(3)
        var seen: Set<[UInt8]> = []
        for number in 1...1000 as ClosedRange<UInt32> {
            guard let one = ours.take(), let other = theirs.take() else { return }
            let exchange = try offered(one, number)
            let answering = try answered(to: RatchetMessage.offer(exchange.offer).payload, other)
            let concluded = try exchange.conclude(with: answering.answer.payload.span, chain: one)
            let proof = concluded.confirmation
            let done = try answering.conclude(with: #require(proof).payload.span)
            #expect(concluded.receive.key.exposed == done.transmit.key.exposed)
            #expect(concluded.transmit.key.exposed == done.receive.key.exposed)
            #expect(concluded.chain.exchanges == number && done.chain.exchanges == number)
            #expect(seen.insert(concluded.receive.key.exposed).inserted)
            #expect(seen.insert(concluded.transmit.key.exposed).inserted)
            let our = concluded.next()
            ours = consume our
            let their = done.next()
            theirs = consume their
        }
    }

    @Test("messages come back as they went, and nothing else is taken for one")
    func messages() throws {
        var generator = SeededGenerator.fresh()
        let kinds = RatchetMessage.Kind.allCases
        for round in 0..<200_000 {
            let kind = kinds[round % kinds.count]
            var bytes = [1, kind.rawValue] + [UInt8](count: kind.payloadByteCount - 2, using: &generator)
            #expect(try RatchetMessage(payload: bytes.span).payload == bytes)
            switch round / kinds.count % 4 {
            case 0: bytes.removeLast()
            case 1: bytes.append(0)
            case 2: bytes[0] = .random(in: 2...255, using: &generator)
            default: bytes[1] = .random(in: 21...255, using: &generator)
            }
            #expect(throws: RatchetMessageError.self) { try RatchetMessage(payload: bytes.span) }
        }
        for count in 0..<2 {
            #expect(throws: RatchetMessageError.tooShort(count)) {
                try RatchetMessage(payload: [UInt8](repeating: 1, count: count).span)
            }
        }
    }
}
