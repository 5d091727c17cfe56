// SPDX-License-Identifier: Apache-2.0

/// Changes to an engine's networks that happen together or not at all.
public struct NetworkChanges: Sendable {
    /// VNIs to remove, with their keys.
    public var removed: Set<UInt32> = []
    /// Networks that stay under their VNI, with their keys and books, and look otherwise from now on.
    public var changed: [NetworkConfiguration] = []
    public var added: [NetworkConfiguration] = []

    public init() {}

    public var isEmpty: Bool { removed.isEmpty && changed.isEmpty && added.isEmpty }
}

extension Engine {
    /// Applies changes in one step: no packet sees a part of them. A network that isn't named stays as it is.
    /// - Throws: for a VNI that is unknown, out of range or there twice, or a route that two networks would have; nothing
    ///   changes then.
    public func apply(_ changes: NetworkChanges) throws(EngineError) {
        try withState { (state: inout State) throws(EngineError) in
            var networks = state.snapshot.networks
            for vni in changes.removed { _ = try slot(of: vni, in: state) }
            networks.removeAll { changes.removed.contains($0.configuration.vni) }
            for configuration in changes.changed {
                guard let slot = networks.firstIndex(where: { $0.configuration.vni == configuration.vni }) else {
                    throw .unknownNetwork(vni: configuration.vni)
                }
                var configuration = configuration
                let now = networks[slot].configuration
                if configuration.endpoint == now.endpoint, configuration.endpointMAC == nil {
                    configuration.endpointMAC = now.endpointMAC
                }
                networks[slot] = networks[slot].with(configuration, local: local(for: configuration))
            }
            var vnis = Set(networks.map(\.configuration.vni))
            for configuration in changes.added {
                guard configuration.vni < 1 << 24 else { throw .invalidVNI(configuration.vni) }
                guard vnis.insert(configuration.vni).inserted else { throw .networkExists(vni: configuration.vni) }
                networks.append(
                    VirtualNetwork(
                        configuration, local: local(for: configuration), lanes: self.configuration.lanes))
            }
            var owners: [Route: UInt32] = [:]
            for network in networks {
                for route in network.configuration.routes {
                    guard route.source.family == route.destination.family else { throw .mixedFamilies(route) }
                    if let owner = owners.updateValue(network.configuration.vni, forKey: route) {
                        throw .routeTaken(route, vni: owner)
                    }
                }
            }
            state.owners = owners
            for vni in changes.removed { state.epochs[vni] = nil }
            publish(networks, topology: Topology(networks), in: &state)
        }
    }

    private func local(for configuration: NetworkConfiguration) -> LocalAddress? {
        configuration.endpoint.flatMap {
            LocalAddress.best(for: $0.address, among: self.configuration.localAddresses)
        }
    }
}
