// SPDX-License-Identifier: Apache-2.0

extension Engine {
    /// Adds many virtual networks with their keys in one step, for benchmarks: one by one, each would make all tables
    /// anew. Nothing is checked but what ``add(_:)`` and ``install(_:for:at:)`` would find in the first of them.
    @_spi(Benchmarks)
    public func add(_ networks: [(configuration: NetworkConfiguration, keys: SAPair)]) throws(EngineError) {
        guard let first = networks.first else { return }
        guard let vni = first.configuration.id.vni else { throw .noVNI(first.configuration.id) }
        guard first.keys.transmitSPI != 0, first.keys.receiveSPI != 0 else { throw .zeroSPI }
        guard !first.keys.transmitKey.isEqual(to: first.keys.receiveKey) else { throw .equalKeys }
        let lanes = configuration.lanes
        let fresh = networks.map { network, keys in
            let vni = network.id.vni ?? vni
            return VirtualNetwork(network, local: nil, lanes: lanes).with(
                transmit: TransmitSA(
                    vni: vni, spi: keys.transmitSPI, key: keys.transmitKey, expiry: keys.expiry, after: 0),
                receive: [ReceiveSA(vni: vni, spi: keys.receiveSPI, key: keys.receiveKey, expiry: keys.expiry)])
        }
        try withState { (state: inout State) throws(EngineError) in
            for network in fresh {
                for route in network.configuration.ownedRoutes { state.owners[route] = network.configuration.id }
            }
            var edit = SnapshotEdit(state.snapshot)
            for network in fresh { edit.append(network) }
            publish(edit, in: &state)
        }
    }
}
