// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import WeftControl

struct PublicKeyTests {
    private let text =
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE1aDqI4oLzxdrAiOLzjflBY25KnBuMsepu44n8WjFqP3J"
        + "bYyFRdKE3uG/gVoFw8OZupwLG8KZ7q5aVbbYJRDVsg=="

    private func parse(der: [UInt8]) throws(IdentityError) -> PublicKey {
        try PublicKey(subjectPublicKeyInfo: der)
    }

    @Test(arguments: ["", "\n", "\r\n", "  ", "\t"])
    func whiteSpaceAroundTheTextIsAllowed(_ space: String) throws {
        #expect(try PublicKey(space + text + space).description == text)
    }

    @Test func textTruncatedEverywhereIsRefused() {
        for count in 0..<text.count {
            #expect(throws: IdentityError.self, "\(count) characters") { try PublicKey(String(text.prefix(count))) }
        }
    }

    /// Two texts for one key would make two peers of it.
    @Test func onlyTheCanonicalTextIsTaken() {
        let line = text.prefix(64) + "\n" + text.dropFirst(64)
        let strayBits = text.replacing("sg==", with: "sh==")
        let unpadded = text.dropLast(2)
        let urlSafe = text.replacing("/", with: "_")
        for other in [String(line), strayBits, String(unpadded), urlSafe, text + "=", text + "====", "é" + text] {
            #expect(throws: IdentityError.notBase64, "\(other)") { try PublicKey(other) }
        }
    }

    @Test func otherLengthsAndTypesAreRefused() throws {
        let der = try PublicKey(text).subjectPublicKeyInfo
        #expect(throws: IdentityError.notP256) { try parse(der: der + [0]) }
        for count in 0..<der.count {
            #expect(throws: IdentityError.notP256, "\(count) bytes") { try parse(der: Array(der.prefix(count))) }
        }
        let others = [
            // A compressed point; a secp256k1 key; the beginning of a P-384 key.
            "3039301306072a8648ce3d020106082a8648ce3d030107032200"
                + "0390c6053af458ac65baf94983688cf062bdec9816d86af4b64e59d24ade127e38",
            "3056301006072a8648ce3d020106052b8104000a034200"
                + "0442430e27dba63dcc55fc31e86125c728f444237e4db3555672edd1d60b95e63036"
                + "9e42f0480e06bf12bd6709fb6cadc2a568544a6f0e98de0eec6a50eff58e54",
            "3076301006072a8648ce3d020106052b8104002203620004046321cb955fe70f3e2868fa4c67da",
        ]
        for other in others {
            #expect(throws: IdentityError.notP256) { try parse(der: Hex(other).bytes) }
        }
    }

    /// No single changed byte leaves a key: the header is fixed, and a changed coordinate leaves the curve.
    @Test func aChangedByteIsRefused() throws {
        let der = try PublicKey(text).subjectPublicKeyInfo
        for index in der.indices {
            var changed = der
            changed[index] ^= 1
            #expect(throws: IdentityError.notP256, "byte \(index)") { try parse(der: changed) }
        }
        // The origin isn't on the curve, and neither is a coordinate beyond the field.
        #expect(throws: IdentityError.notP256) {
            try parse(der: Array(der.prefix(27)) + [UInt8](repeating: 0, count: 64))
        }
        #expect(throws: IdentityError.notP256) {
            try parse(der: Array(der.prefix(27)) + [UInt8](repeating: 0xFF, count: 64))
        }
    }

    @Test func randomBytesNeverTrap() {
        var generator = SeededGenerator.fresh()
        for _ in 0..<500 {
            let bytes = [UInt8](count: .random(in: 0...200, using: &generator), using: &generator)
            #expect(throws: IdentityError.notP256, "seed \(generator.seed)") { try parse(der: bytes) }
            let text = String(decoding: bytes, as: UTF8.self)
            #expect(throws: IdentityError.self, "seed \(generator.seed)") { try PublicKey(text) }
        }
    }

    /// RFC 4648, section 10.
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ])
    func base64(_ bytes: String, _ encoded: String) {
        #expect(Base64.encode(Array(bytes.utf8)) == encoded)
        #expect(Base64.decode(encoded) == (bytes.isEmpty ? nil : Array(bytes.utf8)))
    }
}
