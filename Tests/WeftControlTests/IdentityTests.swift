// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftControl
import WeftTestSupport

struct IdentityVector: NamedVector {
    let name: String
    // identity_*
    let privatePem: String?
    let privatePkcs8Der: Hex?
    let publicKeyString: String?
    let publicSpkiDer: Hex?
    let fingerprint: String?
    let certSubjectCn: String?
    // canonical_*
    let local: String?
    let peer: String?
    let localIsInitiator: Bool?
    let error: String?

    enum Kind { case identity, election }

    var kind: Kind? { privatePem != nil ? .identity : local != nil ? .election : nil }
}

extension Identity {
    init(text: String) throws(IdentityError) {
        try self.init(pem: Array(text.utf8).span)
    }
}

struct IdentityTests {
    @Test(arguments: try Vectors.load("identity", as: IdentityVector.self).filter { $0.kind == .identity })
    func identityVector(_ vector: IdentityVector) throws {
        let pem = try #require(vector.privatePem)
        #expect(try Vectors.text(vector.name + ".pem") == pem)
        let identity = try Identity(text: pem)
        let publicKey = identity.publicKey
        #expect(identity.privateKey.exposed == vector.privatePkcs8Der?.bytes)
        #expect(identity.pem().exposed == Array(pem.utf8))
        #expect(publicKey.subjectPublicKeyInfo == vector.publicSpkiDer?.bytes)
        #expect(publicKey.description == vector.publicKeyString)
        #expect(publicKey.fingerprint == vector.fingerprint)
        #expect(publicKey.certificateCommonName == vector.certSubjectCn)
        #expect(try PublicKey(publicKey.description) == publicKey)
    }

    @Test(arguments: try Vectors.load("identity", as: IdentityVector.self).filter { $0.kind == .election })
    func electionVector(_ vector: IdentityVector) throws {
        let local = try Identity(text: Vectors.text(try #require(vector.local) + ".pem")).publicKey
        let peer = try Identity(text: Vectors.text(try #require(vector.peer) + ".pem")).publicKey
        guard vector.error == nil else {
            #expect(throws: RoleElectionError.self) { try Role(local: local, peer: peer) }
            return
        }
        let role = try Role(local: local, peer: peer)
        #expect((role == .initiator) == vector.localIsInitiator)
        #expect(try Role(local: peer, peer: local) == role.other)
    }

    @Test func generatedIdentitiesDifferAndSurviveTheirPEM() throws {
        let first = try Identity.generate()
        let second = try Identity.generate()
        let keys = [first.publicKey, second.publicKey]
        #expect(keys[0] != keys[1])
        let pem = first.pem()
        let again = try Identity(pem: pem.span)
        #expect(again.publicKey == keys[0])
        #expect(again.privateKey.exposed == first.privateKey.exposed)
        #expect(keys[0].description.count == 124 && keys[0].fingerprint.count == 43)
        // The text that other tools write for this key, to the byte.
        let text = String(decoding: pem.exposed, as: UTF8.self)
        #expect(text.hasPrefix("-----BEGIN PRIVATE KEY-----\n") && text.utf8.count == 241)
    }

    @Test func pemMayHaveTextAroundIt() throws {
        let pem = try Vectors.text("identity_a.pem")
        let plain = try Identity(text: pem).publicKey
        #expect(try Identity(text: "a comment\r\n\r\n" + pem + "more\n").publicKey == plain)
        #expect(try Identity(text: pem.replacing("\n", with: "\r\n")).publicKey == plain)
    }

    @Test func pemTruncatedEverywhereIsRefused() throws {
        let pem = Array(try Vectors.text("identity_a.pem").utf8)
        // Without the last newline it's still whole.
        for count in 0..<pem.count - 1 {
            #expect(throws: IdentityError.notPEM, "\(count) bytes") {
                _ = try Identity(pem: Array(pem.prefix(count)).span)
            }
        }
    }

    /// Whatever a changed byte leads to, it isn't another identity that passes for one.
    @Test func pemWithAChangedByteIsRefusedOrTheSame() throws {
        let pem = Array(try Vectors.text("identity_a.pem").utf8)
        let original = try Identity(pem: pem.span).publicKey
        var generator = SeededGenerator.fresh()
        for index in pem.indices {
            var changed = pem
            changed[index] = .random(in: .min ... .max, using: &generator)
            guard let identity = try? Identity(pem: changed.span) else { continue }
            let publicKey = identity.publicKey
            #expect(publicKey == original, "byte \(index), seed \(generator.seed)")
        }
    }

    @Test(arguments: OtherKey.notPEM)
    func otherPrivateKeysAreRefused(_ key: OtherKey) {
        #expect(throws: IdentityError.notPEM) { _ = try Identity(text: key.pem) }
    }

    @Test(arguments: OtherKey.notP256)
    func privateKeysOfOtherKindsAreRefused(_ key: OtherKey) {
        #expect(throws: IdentityError.notP256) { _ = try Identity(text: key.pem) }
    }
}
