// SPDX-License-Identifier: Apache-2.0

/// How whole frames reach an endpoint. They are dropped while anything of it is unknown.
public struct UnderlayPath: Hashable, Sendable {
    /// Where they are sent from.
    public var local: LocalAddress?
    /// The link-layer address that they are sent to.
    public var nextHop: MACAddress?

    public init(local: LocalAddress? = nil, nextHop: MACAddress? = nil) {
        self.local = local
        self.nextHop = nextHop
    }
}

/// A virtual network as it is at one moment.
public struct NetworkStatus: Sendable {
    public let vni: UInt32
    public let endpoint: Endpoint?
    /// The link-layer address that frames to the endpoint are sent to; nil while unknown, or where the kernel sends.
    public let nextHop: MACAddress?
    public let routes: [Route]
    public let statistics: Statistics
    public let transmit: TransmitStatus?
    /// The newest first.
    public let receive: [ReceiveStatus]

    public struct TransmitStatus: Hashable, Sendable {
        public let spi: UInt32
        public let expiry: Instant
        /// Messages sealed so far, or given up.
        public let lastCounter: UInt64
        /// The highest counter that may be used until it is raised.
        public let ceiling: UInt64
    }

    public struct ReceiveStatus: Hashable, Sendable {
        public let spi: UInt32
        public let expiry: Instant
        /// The highest counter accepted.
        public let highestCounter: UInt64
    }
}

extension Engine {
    /// Adds a virtual network without keys.
    /// - Throws: when the VNI is out of range or exists, or another network owns one of the routes; nothing changes.
    public func add(_ configuration: NetworkConfiguration) throws(EngineError) {
        guard configuration.vni < 1 << 24 else { throw .invalidVNI(configuration.vni) }
        let local = configuration.endpoint.flatMap {
            LocalAddress.best(for: $0.address, among: self.configuration.localAddresses)
        }
        let network = VirtualNetwork(configuration, local: local, lanes: self.configuration.lanes)
        try withState { (state: inout State) throws(EngineError) in
            guard state.snapshot.topology.vnis.slot(of: configuration.vni) == nil else {
                throw .networkExists(vni: configuration.vni)
            }
            try claim(configuration.ownedRoutes, for: configuration.vni, replacing: [], in: &state)
            let networks = state.snapshot.networks + [network]
            publish(networks, topology: Topology(networks), in: &state)
        }
    }

    /// Removes a virtual network with its keys and routes. Another network's routes stay.
    public func remove(vni: UInt32) throws(EngineError) {
        try withState { (state: inout State) throws(EngineError) in
            var networks = state.snapshot.networks
            let removed = networks.remove(at: try slot(of: vni, in: state))
            for route in removed.configuration.ownedRoutes { state.owners[route] = nil }
            state.epochs[vni] = nil
            publish(networks, topology: Topology(networks), in: &state)
        }
    }

    /// Replaces a network's routes, all or none: when another network owns one of them nothing changes.
    public func updateRoutes(of vni: UInt32, to routes: [Route]) throws(EngineError) {
        try withState { (state: inout State) throws(EngineError) in
            let slot = try slot(of: vni, in: state)
            var networks = state.snapshot.networks
            let network = networks[slot].with(routes: routes)
            try claim(
                network.configuration.ownedRoutes, for: vni, replacing: networks[slot].configuration.ownedRoutes,
                in: &state)
            networks[slot] = network
            publish(networks, topology: Topology(networks), in: &state)
        }
    }

    /// Says how whole frames reach the endpoints of networks, by VNI, for drivers that move them. Networks that aren't
    /// named keep what they have, and unknown ones are passed over.
    public func updatePaths(_ paths: [UInt32: UnderlayPath]) {
        state.withLock { state in
            var networks = state.snapshot.networks
            var hasChanged = false
            for (vni, path) in paths {
                guard let slot = state.snapshot.topology.vnis.slot(of: vni),
                    networks[slot].local != path.local || networks[slot].configuration.endpointMAC != path.nextHop
                else { continue }
                networks[slot] = networks[slot].with(local: path.local, endpointMAC: path.nextHop)
                hasChanged = true
            }
            if hasChanged { publish(networks, topology: nil, in: &state) }
        }
    }

    private func claim(
        _ routes: [Route], for vni: UInt32, replacing old: [Route], in state: inout State
    ) throws(EngineError) {
        for route in routes {
            guard route.source.family == route.destination.family else { throw .mixedFamilies(route) }
            if let owner = state.owners[route], owner != vni { throw .routeTaken(route, vni: owner) }
        }
        for route in old { state.owners[route] = nil }
        for route in routes { state.owners[route] = vni }
    }

    /// All virtual networks, by VNI.
    public func networks() -> [NetworkStatus] {
        let snapshot = state.withLock { $0.snapshot }
        return snapshot.networks.map { network in
            NetworkStatus(
                vni: network.configuration.vni, endpoint: network.configuration.endpoint,
                nextHop: network.configuration.endpointMAC, routes: network.configuration.routes,
                statistics: network.counters.total(),
                transmit: network.transmit.map {
                    .init(
                        spi: $0.spi, expiry: $0.expiry, lastCounter: $0.lastCounter, ceiling: $0.currentCeiling)
                },
                receive: network.receive.map { association in
                    .init(
                        spi: association.spi, expiry: association.expiry,
                        highestCounter: association.window.withLock { $0.highest })
                })
        }.sorted { $0.vni < $1.vni }
    }

    /// What the engine counted over all networks, those that are gone included, and what no network can be blamed for.
    public func totals() -> Statistics { counters.total() }
}
