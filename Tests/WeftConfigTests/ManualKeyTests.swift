// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing
import WeftControl
import WeftTestSupport

@testable import WeftConfig

extension [UInt8] {
    var base64: String { Data(self).base64EncodedString() }
}

@Suite("Manual keys")
struct ManualKeyTests {
    private func key(_ text: String) -> ManualKey? {
        let bytes = Array(text.utf8)
        return ManualKey(base64: SharedSecret(SecretBytes(copying: bytes.span)), at: 0..<bytes.count)
    }

    private func key(_ bytes: [UInt8]) -> ManualKey? {
        ManualKey(copying: unsafe bytes.span.bytes)
    }

    @Test("base64 of any 16 bytes reads as those bytes")
    func decoding() throws {
        var random = SeededGenerator.fresh()
        for _ in 0..<1000 {
            let bytes = (0..<16).map { _ in UInt8.random(in: 0...255, using: &random) }
            let decoded = try #require(key(bytes.base64))
            let whole = try #require(key(bytes))
            #expect(decoded == whole, "seed \(random.seed)")
        }
    }

    @Test(
        "only the canonical form is a key",
        arguments: [
            "", "=", "==", "AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAA=", "AAAAAAAAAAAAAAAAAAAAA===",
            "AAAAAAAAAAAAAAAAAAAAAB==", "AAAAAAAAAAAAAAAAAAAAAP==", "AAAAAAAAAAAAAAAAAAAAAAA=",
            "AAAAAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAA== ", "AAAAAAAAAAA-AAAAAAAAAA==", "AAAAAAAAAAA=AAAAAAAAAA==",
            "AAAAAAAAAA AAAAAAAAAAA==",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        ])
    func refused(_ text: String) {
        #expect(key(text) == nil)
    }

    @Test("a key has 16 bytes", arguments: [0, 15, 17, 32])
    func size(_ count: Int) {
        #expect(key([UInt8](repeating: 1, count: count)) == nil)
    }

    @Test("one bit makes another key")
    func comparison() throws {
        let zero = try #require(key([UInt8](repeating: 0, count: 16)))
        for bit in 0..<128 {
            var bytes = [UInt8](repeating: 0, count: 16)
            bytes[bit / 8] = 1 << UInt8(bit % 8)
            let other = try #require(key(bytes))
            #expect(other != zero)
            #expect(KeyFingerprint(other, role: .send) != KeyFingerprint(zero, role: .send))
        }
    }

    @Test("nothing prints it")
    func printing() throws {
        let secret = try #require(key([UInt8](repeating: 0x41, count: 16)))
        var dumped = ""
        dump(secret, to: &dumped)
        let configuration = try TunnelFile.parse(Samples.small, name: "weft0.conf")
        dump(configuration, to: &dumped)
        #expect("\(secret)" == "(hidden)")
        #expect(String(reflecting: secret) == "(hidden)")
        #expect(dumped.contains("(hidden)"))
        #expect(!dumped.contains("storage"))
        #expect(!"\(configuration)".contains("AAAA"))
    }

    @Test("the roles of a key have different fingerprints")
    func roles() throws {
        let one = try #require(key([UInt8](repeating: 1, count: 16)))
        let all = [KeyFingerprint.Role.send, .receive, .anyRole].compactMap { KeyFingerprint(one, role: $0) }
        #expect(Set(all).count == 3)
        // sha256sum of the label, a zero byte and the key: a change would lose every state file.
        #expect(all[0].description == "a9e887e0086212a98792d90f2092cb5e369e9a5b902b6d4dab0db759fe14d2ac")
    }
}
