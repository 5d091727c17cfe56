// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftControl
import WeftDNS
import WeftPair
import WeftQUIC

/// What speaks with strangers: runs a tunnel's control machines over the pair, and nothing else.
///
/// It opens no file and no socket. The data process tells it who the peers are, what came for them and how their networks are
/// doing; it answers with datagrams and keys.
public final class ControlProcess {
    let end: ControlEnd
    private let makeTransport: (ControlPlace) throws -> any SessionTransport
    let own: PublicKey
    private let names: RemoteNames
    private var machines: [LinkKind: any HostedMachine] = [:]
    /// Which machine a network's peer belongs to.
    private var links: [NetworkID: LinkKind] = [:]
    /// Lists of which parts have come.
    private var peers: [LinkKind: PeerList] = [:]
    private var initiators = InitiatorList()
    private var places: [LinkKind: ControlPlace] = [:]
    private var isClosing = false
    private var statusRequests: [UInt64] = []
    private var nextStatus = Instant(nanoseconds: 0)

    /// How often the data process hears how peers are doing without asking, where that changed: should we end, it knows that.
    private static let statusPeriod = Duration.seconds(1)
    /// The longest wait, in milliseconds.
    private static let longestWait: UInt64 = 50

    /// - Parameters:
    ///   - own: our public key.
    ///   - resolvers: asks them for peers' names, by sockets of the data process.
    ///   - makeTransport: makes what carries one machine's sessions.
    public init(
        _ own: PublicKey, over socket: PairSocket, resolvers: DNSChannel,
        makeTransport: @escaping (ControlPlace) throws -> any SessionTransport
    ) {
        end = ControlEnd(socket)
        names = RemoteNames(resolvers, end)
        self.own = own
        self.makeTransport = makeTransport
    }

    /// Has the data process log a line.
    public func log(_ line: String) { end.send(.log(line)) }

    /// Runs until the data process closes it or is gone.
    public func run() throws {
        end.send(.hello(ToData.version))
        var wait: Int32 = 0
        while !isClosing {
            try end.flush()
            var failure: (any Error)?
            try end.receive(milliseconds: wait) { record in
                do { try take(record, at: SystemCall.now()) } catch { failure = failure ?? error }
            }
            if let failure { throw failure }
            let now = SystemCall.now()
            names.advance(to: now, Array(machines.values)) { machine(of: $0) }
            for machine in machines.values {
                machine.advance(to: now)
                machine.flush(at: now)
            }
            for number in statusRequests {
                for machine in machines.values { machine.tellStatus() }
                end.send(.statusTold(number))
            }
            statusRequests.removeAll()
            if now >= nextStatus {
                nextStatus = now.advanced(by: Self.statusPeriod)
                for machine in machines.values { machine.tellStatus() }
            }
            wait = milliseconds(until: machines.values.map(\.nextDeadline).min() ?? .distantFuture)
        }
        let now = SystemCall.now()
        for machine in machines.values {
            machine.close(at: now)
            machine.flush(at: now)
        }
        end.send(.closed)
        try end.flush()
    }

    private func milliseconds(until deadline: Instant) -> Int32 {
        let now = SystemCall.now()
        guard deadline > now else { return 0 }
        // Rounded up, or a deadline within a millisecond would be waited for in a spin.
        return Int32(min(Self.longestWait, (deadline.nanoseconds - now.nanoseconds) / 1_000_000 + 1))
    }

    private func take(_ record: ToControl, at now: Instant) throws {
        switch record {
        case .datagram(let link, let source, let bytes):
            machines[link]?.receive(bytes.span, from: source, at: now)
        case .activity(let network, let activity): machine(of: network)?.port.take(activity, of: network)
        case .refused(let network, let why): machine(of: network)?.port.takeRefusal(of: network, why: why)
        case .name(let network, let name): names.add(name, of: network)
        case .namesComplete(let settings): names.complete(settings, at: now)
        case .answer(let socket, let answer): names.receive(answer, by: socket)
        case .grantRefused(let link, let vni): machines[link]?.port.takeRefusedGrant(vni)
        case .addressesChanged:
            for machine in machines.values { machine.addressesChanged(at: now) }
        case .ping(let number): end.send(.pong(number))
        case .tellStatus(let number): statusRequests.append(number)
        case .close: isClosing = true
        case .place(let link, let place, let handshakes, let calls):
            places[link] = ControlPlace(
                place: place, handshakesPerSource: Int(handshakes), callsPerSource: Int(calls))
        case .peer(let link, let peer, let presence):
            peers[link, default: PeerList()].peers.append(peer)
            peers[link]?.presences[peer.publicKey] = presence
        case .tunnelled(let link, let prefix): peers[link, default: PeerList()].tunnelled.append(prefix)
        case .peersComplete(let link): try completePeers(link, at: now)
        case .keyServer(let link, let lifetime, let dataPort):
            initiators = InitiatorList(link, lifetime: lifetime, dataPort: dataPort)
        case .localPrefix(_, let prefix): initiators.configuration.localPrefixes.append(prefix)
        case .reserved(_, let address): initiators.configuration.reserved.insert(address)
        case .initiator(_, let number, let initiator): initiators.add(initiator, number: number)
        case .initiatorPrefix(_, let prefix): initiators.add(prefix)
        case .granted(_, let grant): initiators.granted.append(grant)
        case .initiatorsComplete(let link): try completeInitiators(link, at: now)
        }
    }

    private func place(of link: LinkKind) -> ControlPlace { places[link] ?? ControlPlace() }

    private func machine(of network: NetworkID) -> (any HostedMachine)? {
        links[network].flatMap { machines[$0] }
    }

    private func completePeers(_ link: LinkKind, at now: Instant) throws {
        let list = peers.removeValue(forKey: link) ?? PeerList()
        links = links.filter { $0.value != link }
        for peer in list.peers { links[peer.network] = link }
        let machine: PeersMachine
        if let known = machines[link] as? PeersMachine {
            machine = known
        } else {
            machine = PeersMachine(own, link, over: try makeTransport(place(of: link)), end)
            machines[link] = machine
        }
        try machine.setPeers(list, at: now)
    }

    private func completeInitiators(_ link: LinkKind, at now: Instant) throws {
        var list = initiators
        initiators = InitiatorList()
        list.configuration.tunnelled = peers.removeValue(forKey: link)?.tunnelled ?? []
        if let machine = machines[link] as? KeyServerMachine {
            machine.setInitiators(list, at: now)
        } else {
            machines[link] = KeyServerMachine(list, link, over: try makeTransport(place(of: link)), end, at: now)
        }
    }
}
