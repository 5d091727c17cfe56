// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftControl
import WeftNames
import WeftTestSupport

@testable import WeftPair

/// Records survive their way, and nothing else does.
@Suite("Records between the processes")
struct RecordTests {
    private static let v4 = Endpoint(IPAddress(v4: 0xC000_0201), port: 6081)
    private static let v6 = Endpoint(IPAddress(v6: 0x2001_0DB8_0000_0000, 2), port: 65535)
    private static let from4 = AddressPair(v4, from: IPAddress(v4: 0xC633_6401))
    private static let from6 = AddressPair(v6, from: IPAddress(v6: 0x2001_0DB8_0000_0000, 3))
    private static let instant = Instant(nanoseconds: 1 << 40)

    private static func key(_ byte: UInt8, count: Int = 16) throws -> PacketKey {
        try PacketKey([UInt8](repeating: byte, count: count))
    }

    private static func toControl() throws -> [ToControl] {
        let identity = try Identity.generate()
        let peer = ControlPeer(
            publicKey: identity.publicKey, network: .number(1), vni: 7, endpoint: v6, isNamed: true, isPinned: true,
            controlPort: 6082,
            isFirstRelease: true, suite: .aes256GCM, rekeyInterval: .seconds(120),
            presharedKey: PresharedKey(SecretBytes(copying: [UInt8](1...32).span)))
        let prefix = try #require(Prefix("10.0.0.0/8"))
        let grant = GrantRecord(
            vni: 9, address: v6.address, initiator: 3, endpoint: v4, isReceiveOnly: true, expiry: instant)
        return [
            .peer(.own, peer, PeerPresence(endpoint: v4, receiveSPIs: [1, 2, 3])), .peer(.shared, peer, nil),
            .tunnelled(.shared, prefix), .peersComplete(.shared),
            .keyServer(.own, lifetime: .seconds(3600), dataPort: 6081),
            .keyServer(.own, lifetime: .nanoseconds(1), dataPort: nil), .localPrefix(.own, prefix),
            .reserved(.own, v4.address),
            .initiator(
                .own, number: 5,
                AuthorizedInitiator(
                    publicKey: identity.publicKey, prefixes: [], networks: 9, suite: .aes128GCM, requestsPerSecond: 17)),
            .initiatorPrefix(.own, prefix), .granted(.own, grant), .initiatorsComplete(.own),
            .datagram(.shared, from: from4, [UInt8](0...255)), .datagram(.shared, from: AddressPair(v4), []),
            .activity(
                .vni(7), ActivityRecord(sent: .max, lastReceive: instant, roamedTo: from6, usedReceive: 1 << 30)),
            .addressesChanged, .refused(.vni(7), why: "no: ümlaut"),
            .grantRefused(.own, vni: 9),
            .ping(3), .tellStatus(4), .close,
            .place(
                .own, EndpointPlace(port: 6081, name: "weft0"), handshakesPerSource: 32, callsPerSource: 50),
            .name(.vni(7), .init(host: "_server.example.", port: 6081, listed: [v4.address, v6.address])),
            .name(.number(8), .init(host: "b", port: 1)), .namesComplete(ResolverSettings()),
            .namesComplete(
                ResolverSettings(
                    resolvers: [v6.address, v4.address], search: ["one.example", "two"], dots: 3, isLastResort: true,
                    ways: [.v6])),
            .answer(socket: .max, [1, 2, 3]), .answer(socket: 1, nil),
        ]
    }

    private static func toData() throws -> [ToData] {
        let pair = SAPair(
            receiveSPI: 1, receiveKey: try key(1), transmitSPI: 2, transmitKey: try key(2), expiry: instant)
        let named = SAPair(
            receiveSPI: 1, receiveKey: try key(1), transmitSPI: 2, transmitKey: try key(2), expiry: instant,
            receiveVNI: 3, transmitVNI: 0xFF_FFFF)
        let grant = GrantRecord(
            vni: 9, address: v4.address, initiator: 3, endpoint: v4, isReceiveOnly: false, expiry: .distantFuture)
        return [
            .hello(1), .pong(.max), .datagram(.own, to: from6, [1, 2, 3]), .install(.vni(7), pair),
            .install(.number(7), named),
            .installReceive(.number(0), vni: 7, spi: 1, try key(3, count: 32), expiry: instant),
            .installTransmit(.vni(7), vni: 0xFF_FFFF, spi: 2, try key(4), expiry: instant, grace: .seconds(3)),
            .moveEndpoint(.vni(7), from4),
            .answersProbes(.vni(7), true), .ecnMode(.vni(7), .normal), .ecnMode(.number(1), .compatibility),
            .keepAlive(.vni(7)), .grantRemoved(.own, vni: 9),
            .grantChanged(.own, grant),
            .grantAdded(.own, grant, pair), .apply(.own), .refusalHeard(.shared),
            .peerStatus(
                .vni(7),
                PeerStatusRecord(
                    state: .dialing, endpoint: nil, role: .responder, lastAgreement: nil, agreements: 1, failures: 2,
                    lastFailure: "no answer")),
            .peerStatus(
                .vni(7),
                PeerStatusRecord(
                    state: .connected, endpoint: v4, role: .initiator, lastAgreement: instant, agreements: 1,
                    failures: 2,
                    lastFailure: nil, hostsWithKey: [v4, v6])),
            .initiatorStatus(
                number: 3,
                InitiatorStatusRecord(
                    sessions: 1, endpoint: v4, networks: 2, quarantined: 3, grants: 4, releases: 5, delayed: 6,
                    refusals: [.held: 1])),
            .turnedAway(.shared, 8), .statusTold(5), .log("a line"), .closed,
            .question(socket: 7, resolver: v4.address, .datagram, [UInt8](0...99)),
            .question(socket: 8, resolver: v6.address, .stream, [UInt8](0...99)), .questionDone(socket: 7),
            .nameStatus(
                .number(7), NameStatusRecord(addresses: [v6.address, v4.address], failure: nil, isRenamed: true)),
            .nameStatus(.number(7), NameStatusRecord(addresses: [], failure: "no answer from 192.0.2.53")),
        ]
    }

    /// A record's bytes.
    private func bytes(_ record: some WireRecord) throws -> [UInt8] {
        var buffer = PairBuffer()
        guard let count = record.write(into: buffer.room(after: 0)) else { throw WireError.truncated }
        return unsafe buffer.bytes.extracting(0..<count).withUnsafeBytes { unsafe Array($0) }
    }

    /// What a message reads as: each record's bytes again, and the error that ended it.
    private func read<Record: WireRecord>(_ message: [UInt8], as type: Record.Type) -> ([[UInt8]], WireError?) {
        var found: [[UInt8]] = []
        var offset = 0
        do throws(WireError) {
            while let record = try Record.next(in: unsafe message.span.bytes, at: &offset) {
                if let again = try? bytes(record) { found.append(again) }
            }
        } catch {
            return (found, error)
        }
        return (found, nil)
    }

    private func check<Record: WireRecord>(_ records: [Record], _ seed: UInt64) throws {
        let all = try records.map { try bytes($0) }
        // Keys tell nothing of themselves, so bytes are compared.
        let (found, error) = read(all.flatMap { $0 }, as: Record.self)
        #expect(found == all && error == nil)
        var random = SeededGenerator(seed: seed)
        for (record, bytes) in zip(records, all) {
            // A record that is cut off, or longer than its values, is none.
            for count in 1..<bytes.count {
                #expect(read(Array(bytes[..<count]), as: Record.self).1 == .truncated, "\(record)")
            }
            var longer = bytes + [0]
            longer[1] &+= 1
            if longer[1] == 0 { longer[2] += 1 }
            // A datagram is as long as its record.
            if !["datagram", "question(", "answer(socket: \(UInt32.max)"].contains(where: { "\(record)".hasPrefix($0) })
            {
                #expect(read(longer, as: Record.self).1 != nil, "\(record)")
            }
            // Whatever comes, reading ends.
            for _ in 0..<200 {
                var wrong = bytes
                for _ in 0..<Int.random(in: 1...4, using: &random) {
                    wrong[Int.random(in: wrong.indices, using: &random)] = .random(in: 0...255, using: &random)
                }
                _ = read(wrong, as: Record.self)
            }
        }
    }

    @Test("go both ways unchanged, and what is cut off, too long or random is refused")
    func roundTrips() throws {
        let seed = SeededGenerator.fresh().seed
        try check(Self.toControl(), seed)
        try check(Self.toData(), seed)
    }

    @Test("of another type are refused", arguments: [0, 99, 255] as [UInt8])
    func unknownTypes(type: UInt8) throws {
        #expect(read([type, 0, 0], as: ToControl.self).1 == .unknownType(type))
        #expect(read([type, 0, 0], as: ToData.self).1 == .unknownType(type))
    }
}
