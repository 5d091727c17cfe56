// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftTestSupport

@testable import WeftControl

struct AgreementVector: NamedVector {
    struct End: Decodable {
        let rxSpi: UInt32
        let rxKey: Hex
        let txSpi: UInt32
        let txKey: Hex
    }

    let name: String
    let rootSecret: Hex
    let version: UInt8
    // negotiate_*
    let initiator: End?
    let responder: End?
    let initiatorSends: Hex?
    let responderSends: Hex?
    // derive_*
    let localRole: UInt8?
    let localRxSpi: UInt32?
    let peerOffer: Hex?
    let error: String?

    enum Kind { case exchange, derive }

    var kind: Kind? { initiator != nil ? .exchange : peerOffer != nil ? .derive : nil }
}

struct SAAgreementTests {
    private func expect(_ sas: borrowing AgreedSAs, toBe end: AgreementVector.End, suite: Suite) {
        let receiveKey = sas.receive.key.exposed
        let transmitKey = sas.transmit.key.exposed
        let spis = [sas.receive.spi.rawValue, sas.transmit.spi.rawValue]
        let suites = [sas.receive.suite, sas.transmit.suite]
        #expect(receiveKey == end.rxKey.bytes)
        #expect(transmitKey == end.txKey.bytes)
        #expect(spis == [end.rxSpi, end.txSpi])
        #expect(suites == [suite, suite])
    }

    private func offer(inFrame frame: [UInt8]) throws -> SAOffer {
        var reader = ControlFrameReader()
        return try offer(in: try reader.receive(frame.span) ?? [])
    }

    private func offer(in payload: [UInt8]) throws -> SAOffer {
        guard case .saOffer(let offer) = try ControlMessage(payload: payload.span) else {
            throw ControlMessageError.tooShort(payload.count)
        }
        return offer
    }

    @Test(arguments: try Vectors.load("negotiate", as: AgreementVector.self).filter { $0.kind == .exchange })
    func exchangeVector(_ vector: AgreementVector) throws {
        let keys = try MasterKeys(rootSecret: SecretBytes(vector.rootSecret))
        let suite = try #require(Suite(rawValue: vector.version))
        let ends = (try #require(vector.initiator), try #require(vector.responder))
        let initiator = try SAAgreement(
            role: .initiator, suite: suite, receiveSPI: SPI(rawValue: ends.0.rxSpi))
        let responder = try SAAgreement(
            role: .responder, suite: suite, receiveSPI: SPI(rawValue: ends.1.rxSpi))
        let openings = [initiator.opening, responder.opening]
        let opening = ControlMessage.saOffer(try #require(openings[0])).frame
        #expect(opening == vector.initiatorSends?.bytes)
        #expect(openings[1] == nil)

        let responderSAs = try responder.conclude(with: offer(inFrame: opening), masterKeys: keys)
        let reply = responderSAs.reply
        let answer = ControlMessage.saOffer(try #require(reply)).frame
        #expect(answer == vector.responderSends?.bytes)
        let initiatorSAs = try initiator.conclude(with: offer(inFrame: answer), masterKeys: keys)
        let secondReply = initiatorSAs.reply
        #expect(secondReply == nil)

        expect(initiatorSAs, toBe: ends.0, suite: suite)
        expect(responderSAs, toBe: ends.1, suite: suite)
    }

    /// Nil when the exchange succeeds.
    private func failure(
        role: Role, suite: Suite = .aes128GCM, receiveSPI: UInt32, peer: SAOffer, root: [UInt8]
    ) throws -> SAAgreementError? {
        let keys = try MasterKeys(rootSecret: SecretBytes(copying: root.span))
        let receiveSPI = try SPI(rawValue: receiveSPI)
        do throws(SAAgreementError) {
            let agreement = try SAAgreement(role: role, suite: suite, receiveSPI: receiveSPI)
            _ = try agreement.conclude(with: peer, masterKeys: keys)
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: try Vectors.load("negotiate", as: AgreementVector.self).filter { $0.kind == .derive })
    func deriveVector(_ vector: AgreementVector) throws {
        let peer = try offer(in: try #require(vector.peerOffer).bytes)
        let suite = try #require(Suite(rawValue: vector.version))
        let failure = try failure(
            role: try #require(vector.localRole.flatMap { Role(rawValue: $0) }), suite: suite,
            receiveSPI: try #require(vector.localRxSpi), peer: peer, root: vector.rootSecret.bytes)
        let expected: SAAgreementError? =
            switch vector.error {
            case nil: nil
            case let error? where error.contains("cipher suite mismatch"):
                .suiteMismatch(own: suite, peer: peer.suite)
            case let error? where error.contains("collides with the local role"):
                .peerSPIOfOwnRole(try SPI(rawValue: peer.receiveSPI))
            default: .invalidPeerSPI(.reserved(peer.receiveSPI))
            }
        #expect(failure == expected)
    }

    private let root = [UInt8](repeating: 7, count: 32)

    @Test func refusesTheInactiveMasterKey() throws {
        let other = SAOffer(suite: 0, receiveSPI: 0xC000_0001)
        #expect(
            try failure(role: .initiator, receiveSPI: 1, peer: other, root: root)
                == .inactiveMasterKey(SPI(rawValue: 0xC000_0001)))
        // And takes the second one once it's the active one.
        #expect(try failure(role: .initiator, receiveSPI: 0x8000_0001, peer: other, root: root) == nil)
        #expect(
            try failure(
                role: .responder, receiveSPI: 0xC000_0001, peer: SAOffer(suite: 0, receiveSPI: 1), root: root)
                == .inactiveMasterKey(SPI(rawValue: 1)))
    }

    @Test(arguments: Role.allCases)
    func refusesAnOwnSPIOfTheOtherRole(_ role: Role) throws {
        let spi = try SPI(masterKeyIndex: .first, role: role.other, counter: 1)
        #expect(
            try failure(
                role: role, receiveSPI: spi.rawValue, peer: SAOffer(suite: .aes128GCM, receiveSPI: spi), root: root)
                == .ownSPIOfOtherRole(spi))
    }

    /// A peer that echoes our own offer would make both directions share a key and its counters.
    @Test(arguments: Role.allCases)
    func refusesAnEcho(_ role: Role) throws {
        let spi = try SPI(masterKeyIndex: .first, role: role, counter: 9)
        #expect(
            try failure(
                role: role, receiveSPI: spi.rawValue, peer: SAOffer(suite: .aes128GCM, receiveSPI: spi), root: root)
                == .peerSPIOfOwnRole(spi))
    }

    @Test func refusesSuitesNobodyKnows() throws {
        for suite in UInt8(1)...255 {
            let peer = SAOffer(suite: suite, receiveSPI: 0x4000_0001)
            #expect(
                try failure(role: .initiator, receiveSPI: 1, peer: peer, root: root)
                    == .suiteMismatch(own: .aes128GCM, peer: suite))
        }
    }

    /// The rule itself, against any offer at all: accepted if and only if suite, role and index fit.
    @Test func randomOffers() throws {
        var generator = SeededGenerator.fresh()
        for _ in 0..<500 {
            let role = Role.allCases.randomElement(using: &generator) ?? .initiator
            let index = MasterKeyIndex.allCases.randomElement(using: &generator) ?? .first
            let own = try SPI(masterKeyIndex: index, role: role, counter: .random(in: SPI.counters, using: &generator))
            let peer = SAOffer(
                suite: .random(in: 0...2, using: &generator), receiveSPI: .random(in: .min ... .max, using: &generator))
            let fits =
                peer.suite == 1 && peer.receiveSPI << 1 != 0
                && peer.receiveSPI >> 30 == UInt32(index.rawValue) << 1 | UInt32(role.other.rawValue)
            let failure = try failure(
                role: role, suite: .aes256GCM, receiveSPI: own.rawValue, peer: peer, root: root)
            #expect((failure == nil) == fits, "seed \(generator.seed)")
        }
    }
}
