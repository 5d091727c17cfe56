// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftCommand
import WeftConfig
import WeftControl
import WeftKeys

/// Runs a key server for the initiators that a file names, over the tunnel's port or one of its own.
final class KeyService: Sendable {
    private let server: KeyServer

    init(
        _ identity: SharedIdentity, _ configuration: TunnelConfiguration, _ engine: Engine,
        _ datapath: any TunnelDatapath, mark: UInt32, _ log: Log
    ) throws {
        let wake = try WakeEvent()
        let link: any ControlLink =
            if let port = configuration.interface.controlPort {
                try OwnPort(port: port, mark: mark, datapath.plane, wake: wake)
            } else {
                try SharedPort(datapath.plane, sendingBy: datapath.transport)
            }
        server = try KeyServer(
            identity.identity, .init(configuration.interface), initiators: configuration.authorized, engine: engine,
            over: link, wake: wake
        ) { log.info($0) }
    }

    /// Runs until ``close()``.
    func run() { server.run() }

    func close() { server.close() }

    /// Takes the initiators of a changed file.
    func reconfigure(_ configuration: TunnelConfiguration) {
        server.setInitiators(configuration.authorized, .init(configuration.interface))
    }

    /// How each initiator of the file is doing, in the file's order; with what each network of theirs carried if that is
    /// asked for.
    func status(
        _ configuration: TunnelConfiguration, _ engine: Engine, listingNetworks: Bool, at now: Instant
    ) -> KeyServerStatus {
        let known = Dictionary(server.statuses().map { ($0.publicKey, $0) }) { first, _ in first }
        let initiators = configuration.initiators.compactMap { initiator in
            known[initiator.publicKey].map { KeyServerStatus.Initiator(initiator, $0) }
        }
        guard listingNetworks else { return KeyServerStatus(initiators, networks: nil, turnedAway: server.turnedAway) }
        let carried = Dictionary(engine.networks().map { ($0.vni, $0) }) { first, _ in first }
        let networks = server.networks().compactMap { granted in
            carried[granted.vni].map { KeyServerStatus.Network(granted, $0, at: now) }
        }
        return KeyServerStatus(initiators, networks: networks, turnedAway: server.turnedAway)
    }
}

extension KeyResponder.Configuration {
    fileprivate init(_ interface: InterfaceConfiguration) {
        self.init(
            localPrefixes: interface.localIPs, reserved: Set(interface.addresses.map(\.address)),
            lifetime: ControlPeer.associationLifetime(rekeyingEvery: interface.rekeyInterval),
            // ICX's initiators have a port for control and Geneve's for data.
            dataPort: interface.controlPort == nil ? nil : InterfaceConfiguration.defaultListenPort)
    }
}

extension TunnelConfiguration {
    fileprivate var authorized: [AuthorizedInitiator] {
        initiators.map {
            AuthorizedInitiator(
                publicKey: $0.publicKey, prefixes: $0.allowedIPs, networks: $0.networks, suite: $0.suite)
        }
    }
}
