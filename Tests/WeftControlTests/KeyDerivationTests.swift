// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftTestSupport

@testable import WeftControl

struct CMACVector: NamedVector {
    let name: String
    let key: Hex
    let msg: Hex
    let tag: Hex
}

struct SAKeyVector: NamedVector {
    let name: String
    let masterKey: Hex
    let spi: UInt32
    let version: UInt8
    let saKey: Hex?
    let error: String?
}

struct MasterKeysVector: NamedVector {
    struct SA: Decodable {
        let spi: UInt32
        let version: UInt8
        let masterKeyIndex: Int
        let role: UInt8
        let saKey: Hex?
        let error: String?
    }

    let name: String
    let rootSecret: Hex
    let masterKey0: Hex?
    let masterKey1: Hex?
    let sas: [SA]?
    let error: String?
}

struct KeyDerivationTests {
    private func cmac(
        _ key: [UInt8], _ message: [UInt8], room: Int = KeyDerivation.cmacByteCount
    ) throws(KeyDerivationError) -> [UInt8] {
        var tag = [UInt8](repeating: 0, count: room)
        var space = tag.mutableSpan
        try KeyDerivation.cmac(key: key.span, message: message.span, into: &space)
        return tag
    }

    @Test(arguments: try Vectors.load("aes_cmac", as: CMACVector.self))
    func cmacVector(_ vector: CMACVector) throws {
        #expect(try cmac(vector.key.bytes, vector.msg.bytes) == vector.tag.bytes)
    }

    @Test(arguments: [0, 1, 15, 17, 31, 33, 64])
    func cmacRefusesKeyLength(_ count: Int) {
        #expect(throws: KeyDerivationError.wrongKeyLength(count)) { try cmac(Array(repeating: 0, count: count), []) }
    }

    @Test func cmacRefusesTooLittleRoom() {
        #expect(throws: KeyDerivationError.self) { try cmac(Array(repeating: 0, count: 16), [], room: 15) }
    }

    /// RFC 5869, test case 3: no salt; with no info either.
    @Test func hkdfWithoutSaltOrInfo() throws {
        let secret = [UInt8](repeating: 0x0B, count: 22)
        let okm = try KeyDerivation.hkdf(secret: secret.span, info: Span(), count: 42)
        let expected = try Hex(
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8")
        #expect(okm.exposed == expected.bytes)
    }

    @Test(arguments: try Vectors.load("psp_derive_sa_key", as: SAKeyVector.self))
    func saKeyVector(_ vector: SAKeyVector) throws {
        let suite = Suite(rawValue: vector.version)
        guard let expected = vector.saKey else {
            // Two kinds of error: an unknown suite can't even be named, a bad master key is refused.
            let error = try #require(vector.error)
            #expect((suite == nil) == error.contains("unsupported cipher suite"))
            guard let suite else { return }
            #expect(throws: KeyDerivationError.wrongKeyLength(vector.masterKey.bytes.count)) {
                _ = try KeyDerivation.saKey(masterKey: SecretBytes(vector.masterKey), spi: vector.spi, suite: suite)
            }
            return
        }
        let key = try KeyDerivation.saKey(
            masterKey: SecretBytes(vector.masterKey), spi: vector.spi, suite: #require(suite))
        #expect(key.exposed == expected.bytes)
    }

    @Test(arguments: try Vectors.load("psp_master_keys", as: MasterKeysVector.self))
    func masterKeysVector(_ vector: MasterKeysVector) throws {
        guard vector.error == nil else {
            #expect(throws: KeyDerivationError.rootSecretTooShort(vector.rootSecret.bytes.count)) {
                _ = try MasterKeys(rootSecret: SecretBytes(vector.rootSecret))
            }
            return
        }
        let keys = try MasterKeys(rootSecret: SecretBytes(vector.rootSecret))
        #expect(keys.first.exposed == vector.masterKey0?.bytes)
        #expect(keys.second.exposed == vector.masterKey1?.bytes)
        for sa in try #require(vector.sas) {
            guard let expected = sa.saKey else {
                #expect(throws: SPIError.reserved(sa.spi)) { _ = try SPI(rawValue: sa.spi) }
                continue
            }
            let spi = try SPI(rawValue: sa.spi)
            #expect(spi.masterKeyIndex.rawValue == sa.masterKeyIndex)
            #expect(spi.role.rawValue == sa.role)
            let key = try keys.saKey(for: spi, suite: #require(Suite(rawValue: sa.version)))
            #expect(key.exposed == expected.bytes)
        }
    }

    @Test func rootSecretOf31BytesIsTooShort() {
        #expect(throws: KeyDerivationError.rootSecretTooShort(31)) {
            _ = try MasterKeys(rootSecret: SecretBytes(count: 31) { _ in })
        }
    }
}
