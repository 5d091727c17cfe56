// SPDX-License-Identifier: Apache-2.0

extension Engine {
    /// Adds a virtual network without keys.
    /// - Throws: when it exists, another network opens under its VNI, or owns one of the routes; nothing changes.
    public func add(_ configuration: NetworkConfiguration) throws(EngineError) {
        var changes = NetworkChanges()
        changes.added = [configuration]
        try apply(changes)
    }

    /// Removes a virtual network with its keys and routes. Another network's routes stay.
    public func remove(_ network: NetworkID) throws(EngineError) {
        var changes = NetworkChanges()
        changes.removed = [network]
        try apply(changes)
    }

    /// Replaces a network's routes, all or none: when another network owns one of them nothing changes.
    public func updateRoutes(of network: NetworkID, to routes: [Route]) throws(EngineError) {
        try withState { (state: inout State) throws(EngineError) in
            var changes = NetworkChanges()
            var configuration = state.snapshot.networks[try slot(of: network, in: state)].configuration
            configuration.routes = routes
            changes.changed = [configuration]
            try apply(changes, to: &state)
        }
    }

    /// Says how whole frames reach the endpoints of networks, for drivers that move them. Networks that aren't named
    /// keep what they have, and unknown ones are passed over.
    public func updatePaths(_ paths: [NetworkID: UnderlayPath]) {
        state.withLock { state in
            var edit = SnapshotEdit(state.snapshot)
            for (network, path) in paths {
                guard let slot = state.snapshot.topology.slot(of: network) else { continue }
                let network = edit[slot]
                guard network.local != path.local || network.configuration.endpointMAC != path.nextHop else { continue }
                edit[slot] = network.with(local: path.local, endpointMAC: path.nextHop)
            }
            if !edit.isEmpty { publish(edit, in: &state) }
        }
    }

    /// All virtual networks, in the order of their names.
    public func networks() -> [NetworkStatus] {
        let snapshot = state.withLock { $0.snapshot }
        return snapshot.networks.map { network in
            NetworkStatus(
                id: network.configuration.id, endpoint: network.configuration.endpoint,
                localAddress: network.configuration.localAddress,
                nextHop: network.configuration.endpointMAC, routes: network.configuration.routes,
                ecn: network.terms.ecnMode, statistics: network.counters.total(),
                transmit: network.transmit.map {
                    .init(
                        vni: $0.vni, spi: $0.spi, expiry: $0.expiry, lastCounter: $0.lastCounter,
                        ceiling: $0.currentCeiling, isShared: $0.isStopped)
                },
                receive: network.receive.map { association in
                    .init(
                        vni: association.vni, spi: association.spi, expiry: association.expiry,
                        highestCounter: association.window.withLock { $0.highest })
                })
        }.sorted { $0.id < $1.id }
    }

    /// What the engine counted over all networks, those that are gone included, and what no network can be blamed for.
    public func totals() -> Statistics { counters.total() }
}
