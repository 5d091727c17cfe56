// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftControl
import WeftTestSupport

@testable import WeftPair

/// Messages that a control process in an attacker's hands could send: well formed with any values, changed a little, and random.
struct HostileMessages {
    private let keys: [PacketKey]
    private var buffer = [UInt8]()

    init() {
        keys = (0..<64).compactMap { byte in try? PacketKey([UInt8](repeating: byte, count: byte % 2 == 0 ? 16 : 32)) }
    }

    mutating func next(_ random: inout SeededGenerator) -> [UInt8] {
        switch Int.random(in: 0..<10, using: &random) {
        case 0:
            return (0..<Int.random(in: 1...300, using: &random)).map { _ in .random(in: 0...255, using: &random) }
        case 1...3:
            var message = records(&random)
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                message[Int.random(in: message.indices, using: &random)] = .random(in: 0...255, using: &random)
            }
            return message
        case 4: return Array(records(&random).dropLast(Int.random(in: 1...3, using: &random)))
        default: return records(&random)
        }
    }

    private func records(_ random: inout SeededGenerator) -> [UInt8] {
        (0..<Int.random(in: 1...4, using: &random)).flatMap { _ in bytes(record(&random)) }
    }

    private func bytes(_ record: ToData) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 2048)
        let count = buffer.withMutableBytes { span in record.write(into: span._mutatingExtracting(0..<span.byteCount)) }
        return Array(buffer.prefix(count ?? 0))
    }

    private func place(_ random: inout SeededGenerator) -> AddressPair {
        let remote = endpoint(&random)
        return AddressPair(remote, from: Bool.random(using: &random) ? endpoint(&random).address : nil)
    }

    private func endpoint(_ random: inout SeededGenerator) -> Endpoint {
        let port: UInt16 = .random(in: 0...3, using: &random) == 0 ? 0 : .random(in: 0...65535, using: &random)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: return Endpoint(IPAddress(v4: .random(in: 0...UInt32.max, using: &random)), port: port)
        case 1: return Endpoint(IPAddress(v4: 0x0A00_0000 | .random(in: 0...0xFFFF, using: &random)), port: port)
        case 2:
            return Endpoint(
                IPAddress(v6: .random(in: 0...UInt64.max, using: &random), .random(in: 0...UInt64.max, using: &random)),
                port: port)
        default: return Endpoint(IPAddress(v4: 0xC000_0202), port: 6081)
        }
    }

    private func record(_ random: inout SeededGenerator) -> ToData {
        let vni: UInt32 =
            [1, 2, 9, 10, 11, .random(in: 0..<1 << 24, using: &random)].randomElement(using: &random) ?? 1
        let network: NetworkID = [.vni(vni), .number(vni)].randomElement(using: &random) ?? .vni(vni)
        let named: UInt32? =
            [nil, vni, 1, .random(in: 0..<1 << 24, using: &random)].randomElement(using: &random) ?? nil
        let spi: UInt32 = [0, 1, 5, .random(in: 0...UInt32.max, using: &random)].randomElement(using: &random) ?? 0
        let key = keys[Int.random(in: keys.indices, using: &random)]
        let other = keys[Int.random(in: keys.indices, using: &random)]
        let expiry = Instant(nanoseconds: .random(in: 0...UInt64.max, using: &random))
        let link = LinkKind.allCases.randomElement(using: &random) ?? .shared
        let pair = SAPair(
            receiveSPI: spi, receiveKey: key, transmitSPI: spi ^ 1, transmitKey: other, expiry: expiry,
            receiveVNI: named, transmitVNI: named)
        let grant = GrantRecord(
            vni: vni,
            address: Bool.random(using: &random)
                ? IPAddress(v4: 0x0A50_0000 | .random(in: 0...511, using: &random)) : endpoint(&random).address,
            initiator: Bool.random(using: &random) ? 3 : .random(in: 0...9, using: &random),
            endpoint: endpoint(&random),
            isReceiveOnly: Bool.random(using: &random), expiry: expiry)
        switch Int.random(in: 0..<20, using: &random) {
        case 0: return .install(network, pair)
        case 1: return .installReceive(network, vni: named ?? vni, spi: spi, key, expiry: expiry)
        case 2: return .installTransmit(network, vni: named ?? vni, spi: spi, key, expiry: expiry, grace: .seconds(30))
        case 3, 4: return .moveEndpoint(network, place(&random))
        case 5: return .keepAlive(network)
        case 6:
            let question = [7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 97, 0, 0, 1, 0, 1] as [UInt8]
            return .question(
                socket: .random(in: 0...30, using: &random), resolver: endpoint(&random).address,
                Bool.random(using: &random) ? .stream : .datagram,
                Bool.random(using: &random)
                    ? question : [UInt8](repeating: .random(in: 0...255, using: &random), count: 40))
        case 7: return .grantRemoved(link, vni: vni)
        case 8: return .grantChanged(link, grant)
        case 9, 10: return .grantAdded(link, grant, pair)
        case 11, 12: return .apply(link)
        case 13: return .datagram(link, to: place(&random), [UInt8](repeating: 7, count: 40))
        case 14:
            return .peerStatus(
                network,
                PeerStatusRecord(
                    state: .connected, endpoint: endpoint(&random), role: .responder, lastAgreement: expiry,
                    agreements: .max, failures: .max, lastFailure: "\u{1B}[2J"))
        case 15:
            return .initiatorStatus(
                number: Bool.random(using: &random) ? 3 : .random(in: 0...9, using: &random),
                InitiatorStatusRecord(
                    sessions: .max, endpoint: endpoint(&random), networks: .max, quarantined: .max, grants: .max,
                    releases: .max, delayed: .max, refusals: [.held: .max, .limit: .max]))
        case 16: return .refusalHeard(link)
        case 17: return .questionDone(socket: .random(in: 0...30, using: &random))
        case 18:
            return .nameStatus(network, NameStatusRecord(addresses: [endpoint(&random).address], failure: "\u{1B}[2J"))
        default: return .closed
        }
    }
}
