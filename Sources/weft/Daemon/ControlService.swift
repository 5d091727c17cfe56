// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import Weft
import WeftConfig
import WeftControl
import WeftQUIC

/// Runs a control plane for some of a tunnel's peers, over one link.
final class ControlService: Sendable {
    /// What one thread at a time uses, behind the lock.
    private struct State: @unchecked Sendable {
        let plane: ControlPlane
        var addresses = LocalAddresses()
    }

    private let state: Mutex<State>
    private let link: any ControlLink
    /// Which peers are served: ICX's, or all others.
    private let servesICX: Bool
    private let wake: WakeEvent
    private let resolver: Resolver
    private let isClosing = Atomic(false)

    /// The longest wait: the control plane looks at its peers this often anyway.
    private static let longestWait: Int32 = 50

    init(
        _ identity: SharedIdentity, _ configuration: TunnelConfiguration, _ engine: Engine, icx: Bool,
        over makeLink: (WakeEvent) throws -> any ControlLink, _ log: Log
    ) throws {
        servesICX = icx
        let transport = try QUICEndpoint(identity.identity)
        let plane = ControlPlane(identity.publicKey, over: transport, engine: engine) { log.info($0) }
        try plane.setPeers(configuration.controlPeers(icx: icx), at: SystemCall.now())
        state = Mutex(State(plane: plane))
        wake = try WakeEvent()
        link = try makeLink(wake)
        resolver = Resolver()
        resolver.setNames(configuration.names)
    }

    /// Runs until ``close()``.
    func run() {
        var wait: Int32 = 0
        while !isClosing.load(ordering: .acquiring) {
            var arrived: [(bytes: [UInt8], source: Endpoint)] = []
            guard (try? link.receive(timeout: wait, wake: wake, { arrived.append(($0, $1)) })) != nil else { break }
            wait = take(arrived)
        }
        let now = SystemCall.now()
        state.withLock { state in
            state.plane.close(at: now)
            send(from: state.plane, now)
        }
        resolver.close()
    }

    /// Hands over what came and sends what there is to say; milliseconds until that must be done again.
    private func take(_ arrived: [(bytes: [UInt8], source: Endpoint)]) -> Int32 {
        let found = resolver.takeAnswers()
        let (deadline, lookups) = state.withLock { state in
            let plane = state.plane
            for datagram in arrived {
                plane.receive(datagram.bytes.span, from: datagram.source, now: SystemCall.now())
            }
            let now = SystemCall.now()
            if state.addresses.changed(at: now) { plane.showOurselves() }
            for (peer, endpoint) in found { plane.setEndpoint(endpoint, of: peer, at: now) }
            plane.advance(to: now)
            send(from: plane, now)
            return (plane.nextDeadline, plane.takeLookups())
        }
        resolver.look(up: lookups, at: SystemCall.now())
        let now = SystemCall.now()
        guard deadline > now else { return 0 }
        // Rounded up, or a deadline within a millisecond would be waited for in a spin.
        return Int32(min(UInt64(Self.longestWait), (deadline.nanoseconds - now.nanoseconds) / 1_000_000 + 1))
    }

    private func send(from plane: ControlPlane, _ now: Instant) {
        plane.flush(now: now) { datagram, target in
            link.send(unsafe datagram.bytes, to: target)
        }
    }

    /// Takes the peers of a changed file.
    func reconfigure(_ configuration: TunnelConfiguration) throws {
        resolver.setNames(configuration.names)
        let peers = configuration.controlPeers(icx: servesICX)
        try state.withLock { try $0.plane.setPeers(peers, at: SystemCall.now()) }
    }

    func close() {
        isClosing.store(true, ordering: .releasing)
        wake.signal()
    }

    func statuses() -> [PublicKey: ControlPeerStatus] {
        let statuses = state.withLock { $0.plane.statuses() }
        return Dictionary(uniqueKeysWithValues: statuses.map { ($0.publicKey, $0) })
    }
}

extension ControlPeer {
    /// What the control plane needs of a peer; nil where its keys are manual.
    init?(_ peer: PeerConfiguration, _ interface: InterfaceConfiguration) {
        guard let key = peer.publicKey else { return nil }
        self.init(
            publicKey: key, vni: peer.vni, endpoint: peer.endpoint, isPinned: peer.pinsEndpoint,
            controlPort: peer.controlPort, suite: peer.suite, rekeyInterval: interface.rekeyInterval)
    }
}

extension TunnelConfiguration {
    /// The peers that keys are agreed with: ICX's, or all others.
    func controlPeers(icx: Bool) -> [ControlPeer] {
        peers.filter { ($0.controlPort != nil) == icx }.compactMap { ControlPeer($0, interface) }
    }

    /// The peers whose endpoint is a name.
    var names: [PublicKey: EndpointName] {
        Dictionary(
            peers.compactMap { peer in
                peer.publicKey.flatMap { key in peer.endpointName.map { (key, $0) } }
            }, uniquingKeysWith: { first, _ in first })
    }
}
