// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftCommand
import WeftConfig
import WeftControl
import WeftKeys
import WeftLink
import WeftQUIC

/// Runs a control plane for some of a tunnel's peers, over one link.
final class ControlService: Sendable {
    private let loop: ControlLoop<ControlPlane>
    /// Which peers are served: ICX's, or all others.
    private let servesICX: Bool
    private let resolver: Resolver

    init(
        _ identity: SharedIdentity, _ configuration: TunnelConfiguration, _ engine: Engine, _ routes: TunnelRoutes,
        icx: Bool,
        _ log: Log,
        over makeLink: (WakeEvent) throws -> any ControlLink
    ) throws {
        servesICX = icx
        let wake = try WakeEvent()
        let transport = try QUICEndpoint(identity.identity)
        loop = try ControlLoop(over: makeLink(wake), wake: wake) {
            let plane = ControlPlane(identity.publicKey, over: transport, engine: engine) { log.info($0) }
            try plane.setPeers(
                configuration.controlPeers(icx: icx), tunnelled: routes.catchingAll, at: SystemCall.now())
            return plane
        }
        resolver = Resolver()
        resolver.setNames(configuration.names)
    }

    /// Runs until ``close()``.
    func run() {
        var addresses = LocalAddresses()
        loop.run { plane, now in
            if addresses.changed(at: now) { plane.showOurselves(at: now) }
            for (peer, endpoint) in resolver.takeAnswers() { plane.setEndpoint(endpoint, of: peer, at: now) }
            resolver.look(up: plane.takeLookups(), at: now)
        }
        resolver.close()
    }

    /// Takes the peers of a changed file.
    func reconfigure(_ configuration: TunnelConfiguration, _ routes: TunnelRoutes) throws {
        resolver.setNames(configuration.names)
        let peers = configuration.controlPeers(icx: servesICX)
        try loop.withMachine { plane, now in try plane.setPeers(peers, tunnelled: routes.catchingAll, at: now) }
    }

    func close() { loop.close() }

    func statuses() -> [PublicKey: ControlPeerStatus] {
        let statuses = loop.withMachine { plane, _ in plane.statuses() }
        return Dictionary(uniqueKeysWithValues: statuses.map { ($0.publicKey, $0) })
    }
}

extension ControlPeer {
    /// What the control plane needs of a peer; nil where its keys are manual.
    init?(_ peer: PeerConfiguration, _ interface: InterfaceConfiguration) {
        guard let key = peer.publicKey else { return nil }
        self.init(
            publicKey: key, vni: peer.vni, endpoint: peer.endpoint, isNamed: peer.endpointName != nil,
            isPinned: peer.pinsEndpoint, controlPort: peer.controlPort, suite: peer.suite,
            rekeyInterval: interface.rekeyInterval)
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
