// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

@Suite("Ciphers")
struct CipherTests {
    /// Those that this machine has.
    static let choices: [CipherChoice] = [.openSSL, .ipsecMB].filter { (try? Engine(.init(cipher: $0))) != nil }

    private static func random(_ count: Int, _ generator: inout SeededGenerator) -> [UInt8] {
        (0..<count).map { _ in .random(in: 0...255, using: &generator) }
    }

    @Test("ipsec-mb is what x86 runs, and OpenSSL is everywhere")
    func present() throws {
        #expect(Self.choices.contains(.openSSL))
        let automatic = try Engine(.init()).cipherName
        if Self.choices.contains(.ipsecMB) {
            #expect(automatic.hasPrefix("ipsec-mb "))
        } else {
            #expect(automatic.hasPrefix("OpenSSL "))
        }
    }

    @Test("all ciphers give the same bytes and open each other's: every length up to 300, random ones up to 4,096")
    func agreement() throws {
        var generator = SeededGenerator.fresh()
        var openSSL = try PacketCipher.make(.openSSL)
        var other = try PacketCipher.make(Self.choices.contains(.ipsecMB) ? .ipsecMB : .openSSL)
        let lengths =
            Array(0...300) + [1023, 1024, 1025, 4095, 4096]
            + (0..<300).map { _ in .random(in: 0...4096, using: &generator) }
        var key = try PacketKey(Self.random(16, &generator))
        for (round, length) in lengths.enumerated() {
            let name: Comment = "seed \(generator.seed), length \(length), key \(key.suite)"
            // A key stays for a while, as in a batch, and the suites take turns.
            if round % 3 == 0 { key = try PacketKey(Self.random(round % 2 == 0 ? 32 : 16, &generator)) }
            let text = Self.random(length, &generator)
            let nonce = Self.random(12, &generator)
            let associated = Self.random(.random(in: 1...260, using: &generator), &generator)
            let sealed = openSSL.seal(text, key: key, nonce: nonce, associated: associated)
            let same = other.seal(text, key: key, nonce: nonce, associated: associated)
            let sealedText = try #require(sealed, name)
            try #require(sealedText == same, name)
            let opened = [
                openSSL.open(sealedText, key: key, nonce: nonce, associated: associated),
                other.open(sealedText, key: key, nonce: nonce, associated: associated),
            ]
            try #require(opened == [text, text], name)
            // A nonce, associated data or key that differs opens nothing.
            let wrong = [0xFF ^ nonce[0]] + nonce.dropFirst()
            let refused = [
                openSSL.open(sealedText, key: key, nonce: wrong, associated: associated),
                other.open(sealedText, key: key, nonce: wrong, associated: associated),
                openSSL.open(sealedText, key: key, nonce: nonce, associated: associated + [0]),
                other.open(sealedText, key: key, nonce: nonce, associated: associated + [0]),
            ]
            #expect(refused == [nil, nil, nil, nil], name)
        }
    }

    @Test("keys that take turns within one cipher don't mix", arguments: choices)
    func alternatingKeys(choice: CipherChoice) throws {
        var generator = SeededGenerator.fresh()
        var cipher = try PacketCipher.make(choice)
        let keys = try [16, 32, 16, 32].map { try PacketKey(Self.random($0, &generator)) }
        let nonce = Self.random(12, &generator)
        let text = Self.random(100, &generator)
        let expected = try keys.map { key in
            var fresh = try PacketCipher.make(.openSSL)
            let sealed = fresh.seal(text, key: key, nonce: nonce, associated: [1])
            return try #require(sealed)
        }
        for step in 0..<200 {
            let index = Int.random(in: 0..<4, using: &generator)
            if step % 20 == 0 { cipher.forgetKeys() }
            let sealed = cipher.seal(text, key: keys[index], nonce: nonce, associated: [1])
            #expect(sealed == expected[index], "seed \(generator.seed), step \(step)")
            let other = Int.random(in: 0..<4, using: &generator)
            let opened = cipher.open(expected[other], key: keys[index], nonce: nonce, associated: [1])
            #expect((opened == text) == (other == index), "seed \(generator.seed), step \(step)")
            if other != index { #expect(opened == nil, "seed \(generator.seed), step \(step)") }
        }
    }

    @Test("every single bit that flips in a datagram makes it drop", arguments: choices, [16, 32])
    func bitFlips(choice: CipherChoice, keyLength: Int) throws {
        var ends = (left: End(.left), right: End(.right))
        (ends.left.cipher, ends.right.cipher) = (choice, choice)
        var sender = try Lane(try ends.left.engine(keyLength: keyLength))
        let engine = try ends.right.engine(keyLength: keyLength)
        var receiver = try Lane(engine)
        let packet = Packets.udp(from: .left, count: 40)
        let datagram = sender.seal(packet, as: .datagram, at: End.start).bytes
        // The low five bits of an option's length say something; RFC 8926 reserves the three above them. They are
        // authenticated all the same.
        for bit in 0..<datagram.count * 8 {
            let changed = datagram.with(datagram[bit / 8] ^ (1 << UInt8(bit % 8)), at: bit / 8)
            let across = receiver.open(changed, as: .datagram, at: End.start)
            let inPlace = receiver.openInPlace(changed, as: .datagram, at: End.start)
            #expect(across.outcome.hasPrefix("dropped"), "bit \(bit)")
            #expect(across == inPlace, "bit \(bit)")
        }
        let totals = engine.totals()
        #expect(totals.rxPackets == 0)
        #expect(totals.fromUnderlay == UInt64(datagram.count * 16))
        #expect(engine.networks().first?.receive.first?.highestCounter == 0)
        // None of them moved the window.
        #expect(receiver.open(datagram, as: .datagram, at: End.start).bytes == packet)
    }

    @Test("what an unauthentic datagram was opened to is wiped")
    func wiped() throws {
        let datagram = try Crafted(from: .left, Packets.udp(from: .left)).sealed()
        let forged = datagram.with(datagram[60] ^ 1, at: 60)
        var receiver = try Lane(try End(.right).engine())
        var output = [UInt8](repeating: 0xEE, count: forged.count)
        let outcome = output.withMutableBytes {
            unsafe receiver.decapsulate(
                forged.span.bytes, from: nil, into: &$0, as: .datagram, at: End.start)
        }
        #expect(outcome == .dropped(.authenticationFailed))
        let text = datagram.count - Geneve.overhead
        #expect(output[..<text].allSatisfy { $0 == 0 })
        #expect(output[text...].allSatisfy { $0 == 0xEE })
    }
}
