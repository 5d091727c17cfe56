// SPDX-License-Identifier: Apache-2.0

/// Changes to an engine's networks that happen together or not at all.
public struct NetworkChanges: Sendable {
    /// Networks to remove, with their keys.
    public var removed: Set<NetworkID> = []
    /// Networks that stay under their name, with their keys and books, and look otherwise from now on.
    public var changed: [NetworkConfiguration] = []
    public var added: [NetworkConfiguration] = []
    /// Keys of networks that are added: they are there with the first packet.
    public var keys: [NetworkID: SAPair] = [:]

    public init() {}

    public var isEmpty: Bool { removed.isEmpty && changed.isEmpty && added.isEmpty }
}

extension Engine {
    /// Applies changes in one step: no packet sees a part of them. A network that isn't named stays as it is.
    ///
    /// It takes about the time of one change, however many there are.
    /// - Throws: for a network that is unknown or there twice, a VNI that two would open under, a route that two networks would
    ///   have, or keys that ``install(_:for:at:)`` would refuse; nothing changes then.
    public func apply(_ changes: NetworkChanges) throws(EngineError) {
        try withState { (state: inout State) throws(EngineError) in try apply(changes, to: &state) }
    }

    func apply(_ changes: NetworkChanges, to state: inout State) throws(EngineError) {
        var edit = SnapshotEdit(state.snapshot)
        var owners = state.owners
        // What goes makes way for what comes, so all of it is taken back first.
        var removed: [Int] = []
        for id in changes.removed { removed.append(try slot(of: id, in: state)) }
        var changed: [Int] = []
        for configuration in changes.changed {
            guard !changes.removed.contains(configuration.id) else { throw .unknownNetwork(configuration.id) }
            changed.append(try slot(of: configuration.id, in: state))
        }
        for slot in removed + changed {
            for route in state.snapshot.networks[slot].configuration.ownedRoutes { owners[route] = nil }
        }
        guard Set(changed).count == changed.count else { throw .networkExists(changes.changed[0].id) }
        for (slot, configuration) in zip(changed, changes.changed) {
            edit[slot] = reconfigured(edit[slot], to: configuration)
            try Self.claim(configuration, among: &owners)
        }
        edit.remove(removed)
        var fresh: Set<NetworkID> = []
        for configuration in changes.added {
            let id = configuration.id
            guard id != .none else { throw .invalidVNI }
            let exists = state.snapshot.topology.slot(of: id) != nil && !changes.removed.contains(id)
            guard !exists, fresh.insert(id).inserted else { throw .networkExists(id) }
            try Self.claim(configuration, among: &owners)
            edit.append(try made(configuration, with: changes.keys[id], in: state))
        }
        try edit.checkVNIs()
        state.owners = owners
        for id in changes.removed { state.epochs[id] = nil }
        publish(edit, in: &state)
    }

    private func reconfigured(_ network: VirtualNetwork, to configuration: NetworkConfiguration) -> VirtualNetwork {
        var configuration = configuration
        let now = network.configuration
        if configuration.endpoint == now.endpoint, configuration.endpointMAC == nil {
            configuration.endpointMAC = now.endpointMAC
        }
        return network.with(configuration, local: local(for: configuration))
    }

    private func made(
        _ configuration: NetworkConfiguration, with keys: SAPair?, in state: borrowing State
    ) throws(EngineError) -> VirtualNetwork {
        let network = VirtualNetwork(configuration, local: local(for: configuration), lanes: self.configuration.lanes)
        guard let keys else { return network }
        guard keys.transmitSPI != 0, keys.receiveSPI != 0 else { throw .zeroSPI }
        guard !keys.transmitKey.isEqual(to: keys.receiveKey) else { throw .equalKeys }
        guard !state.usedTransmitKeys.contains(keys.transmitKey.fingerprint(spi: keys.transmitSPI)) else {
            throw .transmitKeyUsedBefore(spi: keys.transmitSPI)
        }
        let transmit = TransmitSA(
            vni: try Self.vni(keys.transmitVNI, of: configuration.id), spi: keys.transmitSPI, key: keys.transmitKey,
            expiry: keys.expiry)
        let receive = ReceiveSA(
            vni: try Self.vni(keys.receiveVNI, of: configuration.id), spi: keys.receiveSPI, key: keys.receiveKey,
            expiry: keys.expiry)
        return network.with(transmit: transmit, receive: [receive])
    }

    private static func claim(
        _ configuration: NetworkConfiguration, among owners: inout [Route: NetworkID]
    ) throws(EngineError) {
        for route in configuration.ownedRoutes {
            guard route.source.family == route.destination.family else { throw .mixedFamilies(route) }
            // A route twice in a list is one route.
            if let owner = owners.updateValue(configuration.id, forKey: route), owner != configuration.id {
                throw .routeTaken(route, owner)
            }
        }
    }

    private func local(for configuration: NetworkConfiguration) -> LocalAddress? {
        configuration.endpoint.flatMap {
            LocalAddress.best(for: $0.address, among: self.configuration.localAddresses)
        }
    }
}
