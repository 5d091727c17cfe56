// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftControl

extension ToControl: WireRecord {
    private enum Kind: UInt8 {
        case peer = 1
        case tunnelled, peersComplete, keyServer, localPrefix, reserved, initiator, initiatorPrefix, granted
        case initiatorsComplete, datagram, activity, addressesChanged, refused, grantRefused, ping
        case tellStatus, close, place, name, namesComplete, answer
    }

    /// At most as many as an engine keeps.
    private static let mostSPIs = 64

    static func read(_ type: UInt8, _ reader: inout WireReader) throws(WireError) -> ToControl {
        guard let kind = Kind(rawValue: type) else { throw .unknownType(type) }
        switch kind {
        case .peer:
            let link = try reader.link()
            let peer = try reader.controlPeer()
            return .peer(
                link, peer, try reader.optional { (reader) throws(WireError) in try reader.presence(mostSPIs) })
        case .tunnelled: return .tunnelled(try reader.link(), try reader.prefix())
        case .peersComplete: return .peersComplete(try reader.link())
        case .keyServer:
            return .keyServer(
                try reader.link(), lifetime: try reader.duration(),
                dataPort: try reader.optional { (reader) throws(WireError) in try reader.number() })
        case .localPrefix: return .localPrefix(try reader.link(), try reader.prefix())
        case .reserved: return .reserved(try reader.link(), try reader.address())
        case .initiator:
            return .initiator(
                try reader.link(), number: try reader.number(),
                AuthorizedInitiator(
                    publicKey: try reader.publicKey(), prefixes: [], networks: Int(try reader.number(UInt32.self)),
                    suite: try reader.suite(), requestsPerSecond: Int(try reader.number(UInt32.self)),
                    speaks: try reader.peerProtocol()))
        case .initiatorPrefix: return .initiatorPrefix(try reader.link(), try reader.prefix())
        case .granted: return .granted(try reader.link(), try reader.grant())
        case .initiatorsComplete: return .initiatorsComplete(try reader.link())
        case .datagram: return .datagram(try reader.link(), from: try reader.addressPair(), try reader.rest())
        case .activity: return .activity(try reader.network(), try reader.activity())
        case .addressesChanged: return .addressesChanged
        case .refused: return .refused(try reader.network(), why: try reader.text(most: ToData.longestText))
        case .grantRefused: return .grantRefused(try reader.link(), vni: try reader.vni())
        case .ping: return .ping(try reader.number())
        case .tellStatus: return .tellStatus(try reader.number())
        case .close: return .close
        case .name: return .name(try reader.network(), try reader.name())
        case .namesComplete: return .namesComplete(try reader.resolverSettings())
        case .answer:
            let socket: UInt32 = try reader.number()
            return .answer(socket: socket, try reader.flag() ? try reader.rest() : nil)
        case .place:
            return .place(
                try reader.link(),
                EndpointPlace(port: try reader.number(), name: try reader.text(most: ToControl.longestName)),
                handshakesPerSource: try reader.number(), callsPerSource: try reader.number())
        }
    }

    var type: UInt8 {
        let kind: Kind =
            switch self {
            case .peer: .peer
            case .tunnelled: .tunnelled
            case .peersComplete: .peersComplete
            case .keyServer: .keyServer
            case .localPrefix: .localPrefix
            case .reserved: .reserved
            case .initiator: .initiator
            case .initiatorPrefix: .initiatorPrefix
            case .granted: .granted
            case .initiatorsComplete: .initiatorsComplete
            case .datagram: .datagram
            case .activity: .activity
            case .addressesChanged: .addressesChanged
            case .refused: .refused
            case .grantRefused: .grantRefused
            case .ping: .ping
            case .tellStatus: .tellStatus
            case .close: .close
            case .place: .place
            case .name: .name
            case .namesComplete: .namesComplete
            case .answer: .answer
            }
        return kind.rawValue
    }

    func write(to writer: inout WireWriter) {
        switch self {
        case .peer(let link, let peer, let presence):
            writer.number(link.rawValue)
            writer.controlPeer(peer)
            writer.optional(presence) { $0.presence($1, Self.mostSPIs) }
        case .tunnelled(let link, let prefix), .localPrefix(let link, let prefix),
            .initiatorPrefix(let link, let prefix):
            writer.number(link.rawValue)
            writer.prefix(prefix)
        case .peersComplete(let link), .initiatorsComplete(let link): writer.number(link.rawValue)
        case .keyServer(let link, let lifetime, let dataPort):
            writer.number(link.rawValue)
            writer.duration(lifetime)
            writer.optional(dataPort) { $0.number($1) }
        case .reserved(let link, let address):
            writer.number(link.rawValue)
            writer.address(address)
        case .initiator(let link, let number, let initiator):
            writer.number(link.rawValue)
            writer.number(number)
            writer.publicKey(initiator.publicKey)
            writer.number(UInt32(clamping: initiator.networks))
            writer.number(initiator.suite.rawValue)
            writer.number(UInt32(clamping: initiator.requestsPerSecond))
            writer.number(initiator.speaks.rawValue)
        case .granted(let link, let grant):
            writer.number(link.rawValue)
            writer.grant(grant)
        case .datagram(let link, let source, let bytes):
            writer.number(link.rawValue)
            writer.addressPair(source)
            writer.array(bytes)
        case .activity(let network, let activity):
            writer.network(network)
            writer.activity(activity)
        case .refused(let network, let why):
            writer.network(network)
            writer.text(why, most: ToData.longestText)
        case .grantRefused(let link, let vni):
            writer.number(link.rawValue)
            writer.number(vni)
        case .ping(let number), .tellStatus(let number): writer.number(number)
        case .place(let link, let place, let handshakes, let calls):
            writer.number(link.rawValue)
            writer.number(place.port)
            writer.text(place.name, most: Self.longestName)
            writer.number(handshakes)
            writer.number(calls)
        case .name(let network, let name):
            writer.network(network)
            writer.name(name)
        case .namesComplete(let settings): writer.resolverSettings(settings)
        case .answer(let socket, let bytes):
            writer.number(socket)
            writer.flag(bytes != nil)
            if let bytes { writer.array(bytes) }
        case .addressesChanged, .close: break
        }
    }
}
