// SPDX-License-Identifier: Apache-2.0

/// What a network shows of its peer's presence, without its books.
public struct NetworkActivity: Sendable {
    /// Datagrams sent since the engine began, keep-alives apart.
    public let sent: UInt64
    /// When the last authentic datagram came; nil before the first.
    public let lastReceive: Instant?
    /// Where the peer was followed to (``Engine/follow(_:to:)``); told once.
    public let roamedTo: AddressPair?

    public init(sent: UInt64, lastReceive: Instant?, roamedTo: AddressPair?) {
        self.sent = sent
        self.lastReceive = lastReceive
        self.roamedTo = roamedTo
    }
}

extension Engine {
    /// Moves a network's peer. Data packets never do that by themselves: who calls this knows why.
    /// - Parameter localAddress: which of our addresses datagrams to the peer leave from; nil for the kernel's choice.
    public func updateEndpoint(
        of id: NetworkID, to endpoint: Endpoint?, from localAddress: IPAddress? = nil
    ) throws(EngineError) {
        let ours = configuration.localAddresses
        let local =
            ours.first { $0.address == localAddress }
            ?? endpoint.flatMap { LocalAddress.best(for: $0.address, among: ours) }
        try withState { (state: inout State) throws(EngineError) in
            let slot = try slot(of: id, in: state)
            let network = state.snapshot.networks[slot]
            guard network.configuration.endpoint != endpoint || network.configuration.localAddress != localAddress
            else { return }
            var edit = SnapshotEdit(state.snapshot)
            edit[slot] = network.with(endpoint: endpoint, from: localAddress, local: local)
            publish(edit, in: &state)
        }
    }

    /// Leaves the choice of our address to the kernel where datagrams would leave from one that we don't have any more.
    public func keepLocalAddresses(_ isOurs: (IPAddress) -> Bool) {
        state.withLock { state in
            var edit = SnapshotEdit(state.snapshot)
            for (slot, network) in state.snapshot.networks.enumerated() {
                guard let address = network.configuration.localAddress, !isOurs(address) else { continue }
                edit[slot] = network.with(
                    endpoint: network.configuration.endpoint, from: nil, local: network.local)
            }
            if !edit.isEmpty { publish(edit, in: &state) }
        }
    }

    /// Moves a network's peer to where it answered, and lets who agrees on keys know.
    public func follow(_ id: NetworkID, to place: AddressPair) {
        guard (try? updateEndpoint(of: id, to: place.remote, from: place.local)) != nil else { return }
        let snapshot = state.withLock { $0.snapshot }
        guard let slot = snapshot.topology.slot(of: id) else { return }
        snapshot.networks[slot].roaming.put(place)
    }

    /// Makes a keep-alive due now, whatever the network's interval: a sign of life that shows the peer where we are.
    public func requestKeepAlive(of network: NetworkID) throws(EngineError) {
        try withState { (state: inout State) throws(EngineError) in
            state.snapshot.networks[try slot(of: network, in: state)].keepAlive.request()
        }
    }

    /// How many packets were sealed for networks, keep-alives and probes apart, in the order of `ids`; nil for one that is unknown.
    public func sentData(of ids: [NetworkID]) -> [UInt64?] {
        let snapshot = state.withLock { $0.snapshot }
        return ids.map { id in snapshot.topology.slot(of: id).map { snapshot.networks[$0].counters.presence().sent } }
    }

    /// Some networks' signs of life, in the order of `ids`; nil for one that is unknown. Where a peer roamed to is told to one
    /// caller only, so that each network has one.
    public func activities(of ids: [NetworkID]) -> [NetworkActivity?] {
        let snapshot = state.withLock { $0.snapshot }
        return ids.map { id in
            guard let slot = snapshot.topology.slot(of: id) else { return nil }
            let network = snapshot.networks[slot]
            let presence = network.counters.presence()
            return NetworkActivity(
                sent: presence.sent, lastReceive: presence.lastReceive, roamedTo: network.roaming.take())
        }
    }

    /// Whether anything has come under a network's newest receive SA, if that has this number.
    public func isNewestReceive(_ spi: UInt32, usedBy network: NetworkID) -> Bool {
        usedReceives(of: [network]) == [spi]
    }

    /// The SPIs of networks' newest receive SAs, in the order of `ids`; nil where nothing has come under one.
    public func usedReceives(of ids: [NetworkID]) -> [UInt32?] {
        let snapshot = state.withLock { $0.snapshot }
        return ids.map { id in
            guard let slot = snapshot.topology.slot(of: id), let newest = snapshot.networks[slot].receive.first
            else { return nil }
            return newest.window.withLock { $0.highest > 0 } ? newest.spi : nil
        }
    }
}
