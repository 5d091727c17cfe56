// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftTestSupport

@testable import WeftDiscovery

@Suite("STUN messages")
struct STUNMessageTests {
    /// The samples of RFC 5769 sections 2.1 to 2.3.
    private static let request = """
        000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff80290008932ff9b1\
        51263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf
        """
    private static let answerV4 = """
        0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643000800142b91f599\
        fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96
        """
    private static let answerV6 = """
        010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000140002a1470113a9faa5d3f179bc25f4b5\
        bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c
        """

    private let transaction = STUNMessage.Transaction(high: 1, low: 2)

    @Test("the answers of RFC 5769 say what it says, and their fingerprints are right")
    func vectors() throws {
        let v4 = try #require(STUNMessage(Hex(Self.answerV4).bytes))
        #expect(v4.kind == .success && v4.method == 1 && v4.hasFingerprint && v4.unknownAttributes.isEmpty)
        #expect(v4.mapped == Endpoint("192.0.2.1:32853"))
        let v6 = try #require(STUNMessage(Hex(Self.answerV6).bytes))
        #expect(v6.mapped == Endpoint("[2001:db8:1234:5678:11:2233:4455:6677]:32853"))
        // ICE's attributes: PRIORITY must be known, USERNAME as well.
        let request = try #require(STUNMessage(Hex(Self.request).bytes))
        #expect(request.kind == .request && request.unknownAttributes == [0x0024, 0x0006])
    }

    @Test("every single-byte change of a message with a fingerprint is refused")
    func changes() throws {
        let bytes = try Hex(Self.answerV4).bytes
        for offset in bytes.indices {
            for bit in 0..<8 {
                var changed = bytes
                changed[offset] ^= 1 << bit
                let message = STUNMessage(changed)
                // Where its type changes, or another attribute's length comes to cover it, there is none.
                if let message { #expect(!message.hasFingerprint, "\(offset)") }
            }
        }
        for count in 0..<bytes.count { #expect(STUNMessage(Array(bytes.prefix(count))) == nil) }
    }

    @Test("a request is answered with its source, in both families, and the answer is read back")
    func answers() throws {
        let asked = try #require(STUNMessage(STUNMessage.request(transaction)))
        #expect(asked.kind == .request && asked.transaction == transaction && asked.hasFingerprint)
        for text in ["192.0.2.9:1", "255.255.255.255:65535", "[2001:db8::1]:6081", "[::]:1"] {
            let source = try #require(Endpoint(text))
            let answer = try #require(STUNMessage.answer(to: asked, from: source))
            let read = try #require(STUNMessage(answer))
            #expect(read.kind == .success && read.mapped == source && read.transaction == transaction)
            #expect(read.hasFingerprint)
            #expect(unsafe Identification(of: answer.span.bytes).kind == .stun)
        }
    }

    @Test("what must be known and isn't is named; what asks nothing gets nothing")
    func refusals() throws {
        // A request with CHANGE-REQUEST (RFC 5780), and one with an attribute that may be ignored.
        let header: [UInt8] = [0, 1, 0, 8, 0x21, 0x12, 0xA4, 0x42] + [UInt8](repeating: 7, count: 12)
        let source = try #require(Endpoint("192.0.2.9:1"))
        let strict = try #require(STUNMessage(header + [0, 3, 0, 4, 0, 0, 0, 6]))
        let answer = try #require(STUNMessage.answer(to: strict, from: source))
        let read = try #require(STUNMessage(answer))
        #expect(read.kind == .failure && read.failure?.code == 420 && read.mapped == nil)
        #expect(Array(answer.suffix(8)) == [0, 0x0A, 0, 2, 0, 3, 0, 0])
        let lax = try #require(STUNMessage(header + [0x80, 0x22, 0, 1, 65, 0, 0, 0]))
        #expect(STUNMessage.answer(to: lax, from: source).flatMap(STUNMessage.init)?.mapped == source)
        for kind: [UInt8] in [[0, 0x11], [1, 1], [1, 0x11], [0, 3]] {
            let other = try #require(STUNMessage(kind + [0, 0] + header[4...]))
            #expect(STUNMessage.answer(to: other, from: source) == nil)
        }
    }

    @Test("random bytes behind a right header never trap")
    func random() {
        var generator = SeededGenerator.fresh()
        for _ in 0..<50_000 {
            let count = Int.random(in: 0...40, using: &generator)
            var bytes: [UInt8] = [1, 1, 0, UInt8(count), 0x21, 0x12, 0xA4, 0x42]
            bytes += (0..<12 + count).map { _ in .random(in: 0...255, using: &generator) }
            if count >= 4 {
                bytes[20] = 0
                bytes[21] = [1, 9, 0x20, 0x0A].randomElement(using: &generator) ?? 1
                bytes[22] = 0
                bytes[23] = .random(in: 0...UInt8(count), using: &generator)
            }
            _ = STUNMessage(bytes)
        }
    }
}
