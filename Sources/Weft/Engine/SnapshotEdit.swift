// SPDX-License-Identifier: Apache-2.0

/// The next version of a snapshot, in the making. It takes the time of what changes, and of copying what doesn't.
struct SnapshotEdit {
    private let old: Snapshot
    private var networks: [VirtualNetwork]
    private var idOfSlot: [NetworkID]
    /// Slots that hold another network, or another version of theirs, than before.
    private var changed: Set<Int> = []
    private var dropped: [Route] = []
    /// By name, since slots still move.
    private var gained: [(route: Route, id: NetworkID)] = []
    /// Networks that took a removed one's place: the new slot by the old one, and the other way round.
    private var moved: [Int: Int] = [:]
    private var origin: [Int: Int] = [:]
    /// Networks that only receive from more than single addresses.
    private var receivers: Set<NetworkID>
    /// The networks that VNIs lead to which aren't their own.
    private var named: [UInt32: NetworkID]
    /// VNIs that weren't there before, and one that two networks name.
    private var freshVNIs: [UInt32] = []
    private var clash: UInt32?
    private var isRenamed = false
    private var isReshaped = false

    init(_ old: Snapshot) {
        self.old = old
        networks = old.networks
        idOfSlot = old.topology.idOfSlot
        receivers = old.topology.receivers
        named = old.named
    }

    /// Whether nothing was changed.
    var isEmpty: Bool { changed.isEmpty && !isReshaped }

    /// The network in a slot of the old snapshot. Set it at most once, and before any is removed, to give it another
    /// version.
    subscript(slot: Int) -> VirtualNetwork {
        get { networks[slot] }
        set {
            let (before, after) = (networks[slot].configuration.ownedRoutes, newValue.configuration.ownedRoutes)
            let (heard, hears) = (
                networks[slot].configuration.wideReceiveRoutes, newValue.configuration.wideReceiveRoutes
            )
            if heard != hears {
                if hears.isEmpty {
                    receivers.remove(newValue.configuration.id)
                } else {
                    receivers.insert(newValue.configuration.id)
                }
                isReshaped = true
            }
            if before != after {
                dropped += before
                gained += after.map { ($0, newValue.configuration.id) }
                isReshaped = true
            }
            if networks[slot].namedVNIs != newValue.namedVNIs {
                forgetNames(of: networks[slot])
                name(newValue)
            }
            networks[slot] = newValue
            changed.insert(slot)
        }
    }

    /// Adds a network, after others were removed.
    mutating func append(_ network: VirtualNetwork) {
        gained += network.configuration.ownedRoutes.map { ($0, network.configuration.id) }
        if !network.configuration.wideReceiveRoutes.isEmpty { receivers.insert(network.configuration.id) }
        if let vni = network.configuration.id.vni { freshVNIs.append(vni) }
        name(network)
        changed.insert(networks.count)
        networks.append(network)
        idOfSlot.append(network.configuration.id)
        isReshaped = true
    }

    /// Removes the networks of these slots. The last ones take their places.
    mutating func remove(_ slots: some Sequence<Int>) {
        // From the highest on: what takes a place stays.
        for slot in slots.sorted(by: >) {
            let last = networks.count - 1
            dropped += networks[slot].configuration.ownedRoutes
            receivers.remove(networks[slot].configuration.id)
            forgetNames(of: networks[slot])
            networks.swapAt(slot, last)
            idOfSlot.swapAt(slot, last)
            networks.removeLast()
            idOfSlot.removeLast()
            if slot < last {
                let from = origin[last] ?? last
                moved[from] = slot
                origin[slot] = from
                changed.insert(slot)
            }
            isReshaped = true
        }
    }

    private mutating func forgetNames(of network: VirtualNetwork) {
        for vni in network.namedVNIs where named[vni] == network.configuration.id {
            named[vni] = nil
            isRenamed = true
        }
    }

    private mutating func name(_ network: VirtualNetwork) {
        for vni in network.namedVNIs {
            if named.updateValue(network.configuration.id, forKey: vni) != nil { clash = clash ?? vni }
            freshVNIs.append(vni)
            isRenamed = true
        }
    }

    /// - Throws: ``EngineError/vniTaken(_:)`` where two networks would open under one VNI.
    func checkVNIs() throws(EngineError) {
        if let clash { throw .vniTaken(clash) }
        guard !named.isEmpty else { return }
        for vni in freshVNIs where named[vni] != nil && idOfSlot.contains(.vni(vni)) { throw .vniTaken(vni) }
    }

    func finish() -> Snapshot {
        guard isReshaped else {
            return Snapshot(
                after: old, networks: networks, changed: changed, topology: old.topology,
                named: isRenamed ? named : nil)
        }
        var receiveRoutes: [NetworkID: [Route]] = [:]
        if !receivers.isEmpty {
            for network in networks where receivers.contains(network.configuration.id) {
                receiveRoutes[network.configuration.id] = network.configuration.routes
            }
        }
        let topology = Topology(
            after: old.topology, idOfSlot: idOfSlot, moved: moved, dropped: dropped, gained: gained,
            receivers: receiveRoutes)
        return Snapshot(after: old, networks: networks, changed: changed, topology: topology, named: named)
    }
}
