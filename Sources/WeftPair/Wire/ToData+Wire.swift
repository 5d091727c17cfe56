// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftControl

extension ToData: WireRecord {
    private enum Kind: UInt8 {
        case hello = 1
        case pong, datagram, install, installReceive, installTransmit, moveEndpoint, keepAlive, grantRemoved
        case grantChanged, grantAdded, apply, refusalHeard, peerStatus, initiatorStatus, turnedAway, statusTold, log
        case closed, answersProbes, ecnMode, question, questionDone, nameStatus
    }

    static func read(_ type: UInt8, _ reader: inout WireReader) throws(WireError) -> ToData {
        guard let kind = Kind(rawValue: type) else { throw .unknownType(type) }
        switch kind {
        case .hello: return .hello(try reader.number())
        case .pong: return .pong(try reader.number())
        case .datagram: return .datagram(try reader.link(), to: try reader.addressPair(), try reader.rest())
        case .install: return .install(try reader.network(), try reader.pair())
        case .installReceive:
            return .installReceive(
                try reader.network(), vni: try reader.vni(), spi: try reader.number(), try reader.key(),
                expiry: try reader.instant())
        case .installTransmit:
            return .installTransmit(
                try reader.network(), vni: try reader.vni(), spi: try reader.number(), try reader.key(),
                expiry: try reader.instant(), grace: try reader.duration())
        case .moveEndpoint: return .moveEndpoint(try reader.network(), try reader.addressPair())
        case .keepAlive: return .keepAlive(try reader.network())
        case .grantRemoved: return .grantRemoved(try reader.link(), vni: try reader.vni())
        case .grantChanged: return .grantChanged(try reader.link(), try reader.grant())
        case .grantAdded: return .grantAdded(try reader.link(), try reader.grant(), try reader.pair())
        case .apply: return .apply(try reader.link())
        case .refusalHeard: return .refusalHeard(try reader.link())
        case .peerStatus: return .peerStatus(try reader.network(), try reader.peerStatus())
        case .initiatorStatus: return .initiatorStatus(number: try reader.number(), try reader.initiatorStatus())
        case .turnedAway: return .turnedAway(try reader.link(), try reader.number())
        case .statusTold: return .statusTold(try reader.number())
        case .log: return .log(try reader.text(most: longestText))
        case .closed: return .closed
        case .answersProbes: return .answersProbes(try reader.network(), try reader.flag())
        case .ecnMode: return .ecnMode(try reader.network(), try reader.flag() ? .normal : .compatibility)
        case .question:
            return .question(
                socket: try reader.number(), resolver: try reader.address(),
                try reader.flag() ? .stream : .datagram, try reader.rest())
        case .questionDone: return .questionDone(socket: try reader.number())
        case .nameStatus: return .nameStatus(try reader.network(), try reader.nameStatus())
        }
    }

    var type: UInt8 {
        let kind: Kind =
            switch self {
            case .hello: .hello
            case .pong: .pong
            case .datagram: .datagram
            case .install: .install
            case .installReceive: .installReceive
            case .installTransmit: .installTransmit
            case .moveEndpoint: .moveEndpoint
            case .keepAlive: .keepAlive
            case .grantRemoved: .grantRemoved
            case .grantChanged: .grantChanged
            case .grantAdded: .grantAdded
            case .apply: .apply
            case .refusalHeard: .refusalHeard
            case .peerStatus: .peerStatus
            case .initiatorStatus: .initiatorStatus
            case .turnedAway: .turnedAway
            case .statusTold: .statusTold
            case .log: .log
            case .closed: .closed
            case .answersProbes: .answersProbes
            case .ecnMode: .ecnMode
            case .question: .question
            case .questionDone: .questionDone
            case .nameStatus: .nameStatus
            }
        return kind.rawValue
    }

    func write(to writer: inout WireWriter) {
        switch self {
        case .hello(let version): writer.number(version)
        case .pong(let number), .statusTold(let number): writer.number(number)
        case .datagram(let link, let target, let bytes):
            writer.number(link.rawValue)
            writer.addressPair(target)
            writer.array(bytes)
        case .install(let network, let pair):
            writer.network(network)
            writer.pair(pair)
        case .installReceive(let network, let vni, let spi, let key, let expiry):
            writer.association(network, vni, spi, key, expiry)
        case .installTransmit(let network, let vni, let spi, let key, let expiry, let grace):
            writer.association(network, vni, spi, key, expiry)
            writer.duration(grace)
        case .moveEndpoint(let network, let place):
            writer.network(network)
            writer.addressPair(place)
        case .answersProbes(let network, let answers):
            writer.network(network)
            writer.flag(answers)
        case .ecnMode(let network, let mode):
            writer.network(network)
            writer.flag(mode == .normal)
        case .keepAlive(let network): writer.network(network)
        case .grantRemoved(let link, let vni):
            writer.number(link.rawValue)
            writer.number(vni)
        case .grantChanged(let link, let grant):
            writer.number(link.rawValue)
            writer.grant(grant)
        case .grantAdded(let link, let grant, let pair):
            writer.number(link.rawValue)
            writer.grant(grant)
            writer.pair(pair)
        case .apply(let link), .refusalHeard(let link): writer.number(link.rawValue)
        case .turnedAway(let link, let number):
            writer.number(link.rawValue)
            writer.number(number)
        case .peerStatus(let network, let status):
            writer.network(network)
            writer.peerStatus(status)
        case .initiatorStatus(let number, let status):
            writer.number(number)
            writer.initiatorStatus(status)
        case .log(let text): writer.text(text, most: Self.longestText)
        case .question(let socket, let resolver, let transport, let bytes):
            writer.number(socket)
            writer.address(resolver)
            writer.flag(transport == .stream)
            writer.array(bytes)
        case .questionDone(let socket): writer.number(socket)
        case .nameStatus(let network, let status):
            writer.network(network)
            writer.nameStatus(status)
        case .closed: break
        }
    }
}

extension WireWriter {
    /// What the records of one direction's SA have in common.
    fileprivate mutating func association(
        _ network: NetworkID, _ vni: UInt32, _ spi: UInt32, _ key: PacketKey, _ expiry: Instant
    ) {
        self.network(network)
        number(vni)
        number(spi)
        self.key(key)
        instant(expiry)
    }
}
