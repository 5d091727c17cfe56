// SPDX-License-Identifier: Apache-2.0
@testable import Weft
@testable import WeftControl

/// The messages of an exchange of `weft/1`: what is read is written again to the byte, and whatever comes in a message's place
/// leads to no key that the other end hasn't confirmed.
final class RatchetExchanges {
    private let initiator: PublicKey
    private let responder: PublicKey

    init() throws {
        initiator = try Identity.generate().publicKey
        responder = try Identity.generate().publicKey
    }

    private func chain() throws -> KeyChain {
        let root = SecretBytes(count: 32) { bytes in
            for index in bytes.indices { bytes[index] = 1 }
        }
        return try KeyChain(rootSecret: root, presharedKey: nil, initiator: initiator, responder: responder)
    }

    func run(_ input: RawSpan) {
        let bytes = input.array()
        if let message = try? RatchetMessage(payload: bytes.span) {
            check(message.payload == bytes, "it is written otherwise")
        }
        do {
            let begun = try chain()
            let offered = OfferedExchange(
                begun, suite: .aes128GCM, receiveSPI: try SPI(rawValue: 1), share: try KeyShare.generate())
            let offer = RatchetMessage.offer(offered.offer)
            let agreed = try? offered.conclude(with: bytes.span, chain: begun)
            check(agreed == nil, "an answer by chance")
            let answered = try AnsweredExchange(
                to: offer.payload.span, chain: chain(), suite: .aes128GCM, receiveSPI: try SPI(rawValue: 0x4000_0001),
                share: try KeyShare.generate())
            let confirmed = try? answered.conclude(with: bytes.span)
            check(confirmed == nil, "a confirmation by chance")
        } catch {
            fail("our own part failed: \(error)")
        }
        // An offer may be anybody's: it is answered, or refused.
        if let begun = try? chain(), let spi = try? SPI(rawValue: 0x4000_0001), let share = try? KeyShare.generate() {
            if let answered = try? AnsweredExchange(
                to: bytes.span, chain: begun, suite: .aes128GCM, receiveSPI: spi, share: share)
            {
                check(answered.answer.kind == .answer, "another message than an answer")
            }
        }
    }

    static func seeds() -> [[UInt8]] {
        let share = [UInt8](1...32)
        let offer: [UInt8] = [0, 0, 0, 1, 0, 0, 0, 0, 9] + share
        let answer: [UInt8] = [0, 0, 0, 1, 0, 0x40, 0, 0, 9] + share
        let mac = [UInt8](repeating: 7, count: 32)
        return [
            [1, 17] + offer, [1, 18] + answer + mac, [1, 19, 0, 0, 0, 1] + mac, [1, 20, 0, 0, 0, 1],
            [1, 17] + offer.prefix(9) + [UInt8](repeating: 0, count: 32),
        ]
    }
}
