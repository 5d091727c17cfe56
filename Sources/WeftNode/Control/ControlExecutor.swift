// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftCommand
import WeftControl
import WeftPair
import WeftUDP

/// Does what a control process asks, and believes nothing beyond what a record says: only networks of peers that are served
/// here, only grants that an initiator may have, only endpoints that can be one. What is refused is counted. One thread uses it.
final class ControlExecutor {
    private var served: ServedConfiguration
    private let engine: Engine
    private let local: LocalEngine
    private let links: [LinkKind: any ControlLink]
    private let names: NameRelay
    /// Who follows peers; nil where nobody does, and they are where the control process says.
    private let paths: PathService?
    private let log: Log
    /// The served peers by their networks.
    private var peers: [NetworkID: ControlPeer] = [:]
    /// The VNIs that they have by the file, or by both ends' keys.
    private var standingVNIs: Set<UInt32> = []
    private var grants = GrantBooks()
    /// The lines that a control process may have logged.
    private var lines = Allowance(atOnce: 20, perSecond: 10)
    /// What the control process knows of networks' signs of life.
    private var told: [NetworkID: ActivityRecord] = [:]
    private var roamed: [NetworkID: AddressPair] = [:]
    private var answers: [ToControl] = []
    /// Refused grants that the control process may not have heard of yet, by the port whose initiator it may be telling of
    /// them: until it has, nothing is sent there.
    private var unheard: [LinkKind: Int] = [:]

    /// Answers that may wait for room.
    private static let mostAnswers = 1 << 16

    private(set) var status = ControlStatus()
    /// Counts from control processes before this one.
    private var earlier: [NetworkID: PeerStatusRecord] = [:]
    /// Whether the control process has told all peers that we go.
    private(set) var hasLeft = false
    /// Records that weren't the control process' to send.
    private(set) var refused: UInt64 = 0

    init(
        _ served: ServedConfiguration, _ engine: Engine, _ links: [LinkKind: any ControlLink], _ names: NameRelay,
        _ log: Log, paths: PathService? = nil
    ) {
        self.served = served
        self.engine = engine
        self.links = links
        self.names = names
        self.log = log
        self.paths = paths
        local = LocalEngine(engine) { log.warning($0) }
        serve(served)
    }

    /// Networks that are granted.
    var granted: [GrantRecord] { grants.all }

    /// Serves other peers or initiators from now on.
    func serve(_ served: ServedConfiguration) {
        status.names = status.names.filter { self.served.names[$0.key] == served.names[$0.key] }
        self.served = served
        peers = Dictionary(served.peers.values.joined().map { ($0.network, $0) }) { first, _ in first }
        standingVNIs = Set(peers.values.map(\.vni))
        local.setLocalPrefixes(served.keyServer?.configuration.localPrefixes ?? [])
        told = told.filter { peers[$0.key] != nil }
        status.peers = status.peers.filter { peers[$0.key] != nil }
        status.initiators = status.initiators.filter { served.keyServer?.initiators[$0.key] != nil }
    }

    /// Another control process begins: what the last one left undone is forgotten.
    func begin() {
        grants.forgetStaged()
        answers.removeAll()
        unheard.removeAll()
        earlier = status.peers
        names.begin()
        forgetTold()
    }

    /// The control process knows of no sign of life yet.
    func forgetTold() { told.removeAll() }

    // MARK: What the control process hears

    /// Tells what networks show of their peers, where that changed.
    func tellActivity(_ end: DataEnd) throws(PairFailure) {
        let networks = Array(peers.keys)
        let used = engine.usedReceives(of: networks)
        for (index, activity) in engine.activities(of: networks).enumerated() {
            guard let activity else { continue }
            let network = networks[index]
            if let place = activity.roamedTo { roamed[network] = place }
            let record = ActivityRecord(
                sent: activity.sent, lastReceive: activity.lastReceive, roamedTo: roamed[network],
                usedReceive: used[index])
            guard told[network] != record, try end.offer(.activity(network, record)) else { continue }
            roamed[network] = nil
            told[network] = record
            // Where it roamed to is told once.
            told[network]?.roamedTo = nil
        }
    }

    /// Tells what came of what was asked.
    /// - Throws: where the control process asks on and on, and reads no answer.
    func answer(_ end: DataEnd) throws(PairFailure) {
        if end.isWaiting { try end.flush() }
        guard !end.isWaiting else {
            if answers.count > Self.mostAnswers { throw .unread }
            return
        }
        for answer in answers { end.send(answer) }
        answers.removeAll(keepingCapacity: true)
    }

    // MARK: What the control process asks

    func take(_ record: ToData, at now: Instant) {
        switch record {
        case .datagram(let link, let target, let bytes):
            guard target.remote.canBeReached else { return refuse() }
            // QUIC sends again what mattered.
            guard unheard[link] == nil else { return }
            unsafe links[link]?.send(bytes.span.bytes, to: target)
        case .install(let network, let pair):
            install(network, receive: pair.receiveVNI, transmit: pair.transmitVNI) {
                local.install(pair, for: network, at: now)
            }
        case .installReceive(let network, let vni, let spi, let key, let expiry):
            install(network, receive: vni) {
                local.installReceive(spi: spi, key: key, expiry: expiry, vni: vni, for: network, at: now)
            }
        case .installTransmit(let network, let vni, let spi, let key, let expiry, let grace):
            install(network, transmit: vni) {
                local.installTransmit(
                    spi: spi, key: key, expiry: expiry, grace: grace, vni: vni, for: network, at: now)
            }
        case .moveEndpoint(let network, let place):
            guard let peer = peers[network], mayLead(to: place.remote), mayMove(peer, to: place.remote) else {
                return refuse()
            }
            if let paths {
                paths.suggest(place, for: network, by: .session)
            } else {
                local.updateEndpoint(of: network, to: place)
            }
        case .answersProbes(let network, let answers):
            peers[network] == nil ? refuse() : paths?.setAnswers(answers, of: network)
        case .ecnMode(let network, let mode):
            peers[network] == nil && !grants.has(network) ? refuse() : local.setECNMode(mode, of: network)
        case .keepAlive(let network): peers[network] == nil ? refuse() : local.requestKeepAlive(of: network)
        case .question(let socket, let resolver, let transport, let bytes):
            if !names.ask(bytes, by: socket, of: resolver, over: transport, at: now) { refuse() }
        case .questionDone(let socket): names.finish(socket)
        case .nameStatus(let network, let name):
            guard let file = served.names[network], peers[network] != nil else { return refuse() }
            status.names[network] = name
            let places = name.addresses.map { Endpoint($0, port: file.port) }.filter(mayLead)
            paths?.setNamed(places, of: network, isRenamed: name.isRenamed)
        case .grantRemoved, .grantChanged, .grantAdded, .apply: takeGrant(record)
        case .refusalHeard(let link): heard(link)
        case .peerStatus(let network, let status): peers[network] == nil ? refuse() : note(status, of: network)
        case .initiatorStatus(let number, let status):
            guard served.keyServer?.initiators[number] != nil else { return refuse() }
            self.status.initiators[number] = status
        case .turnedAway(let link, let count): status.turnedAway[link] = count
        case .log(let line): if lines.admits(at: now) { log.info(line) }
        case .closed: hasLeft = true
        case .hello, .pong, .statusTold: refuse()
        }
    }

    private func refuse() { refused &+= 1 }

    /// Installs SAs of a served peer, under VNIs that it may have.
    private func install(
        _ network: NetworkID, receive: UInt32? = nil, transmit: UInt32? = nil, _ body: () -> Void
    ) {
        guard let peer = peers[network], receive.map({ mayReceive(peer, with: $0) }) ?? true,
            // What other ends receive with they name themselves; ICX's can't.
            transmit.map({ $0 == peer.vni || peer.controlPort == nil && $0 != 0 }) ?? true
        else { return refuse() }
        body()
        while let event = local.nextEvent() {
            if case .refused(let network, let why) = event { answers.append(.refused(network, why: why)) }
        }
    }

    /// Whether a peer's datagrams may bear a VNI: its own, or one that is nobody's.
    private func mayReceive(_ peer: ControlPeer, with vni: UInt32) -> Bool {
        vni == peer.vni || peer.network.vni == nil && vni != 0 && !standingVNIs.contains(vni)
    }

    /// An endpoint that stays stays, whatever the control process says.
    private func mayMove(_ peer: ControlPeer, to endpoint: Endpoint) -> Bool {
        !peer.isPinned || peer.endpoint == nil || endpoint == peer.endpoint
    }

    /// Whether data may be sent there. What is routed into the tunnel would be sealed again and again.
    private func mayLead(to endpoint: Endpoint) -> Bool {
        endpoint.canBeReached && !served.tunnelled.contains { $0.contains(endpoint.address) }
    }

    private func takeGrant(_ record: ToData) {
        guard let server = served.keyServer else { return refuse() }
        switch record {
        case .grantRemoved(_, let vni): grants.remove(vni)
        case .grantChanged(_, let grant):
            if !mayLead(to: grant.endpoint) || !grants.change(grant, server) { refuse() }
        case .grantAdded(let link, let grant, let keys):
            guard mayLead(to: grant.endpoint), grants.add(grant, keys, server) else {
                tellRefused(grant.vni, link)
                return refuse()
            }
        case .apply(let link):
            local.apply(grants.takeStaged(server))
            while let event = local.nextEvent() {
                guard case .grantRefused(let vni) = event else { continue }
                grants.forget(vni)
                tellRefused(vni, link)
            }
        default: refuse()
        }
    }

    private func tellRefused(_ vni: UInt32, _ link: LinkKind) {
        answers.append(.grantRefused(link, vni: vni))
        unheard[link, default: 0] += 1
    }

    private func heard(_ link: LinkKind) {
        guard let count = unheard[link] else { return refuse() }
        unheard[link] = count > 1 ? count - 1 : nil
    }

    /// Counts go on from those of earlier control processes.
    private func note(_ new: PeerStatusRecord, of network: NetworkID) {
        var sum = new
        if let before = earlier[network] {
            sum.agreements &+= before.agreements
            sum.failures &+= before.failures
            sum.lastAgreement = new.lastAgreement ?? before.lastAgreement
        }
        status.peers[network] = sum
    }
}
