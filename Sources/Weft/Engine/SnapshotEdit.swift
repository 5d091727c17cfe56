// SPDX-License-Identifier: Apache-2.0

/// The next version of a snapshot, in the making. It takes the time of what changes, and of copying what doesn't.
struct SnapshotEdit {
    private let old: Snapshot
    private var networks: [VirtualNetwork]
    private var vniOfSlot: [UInt32]
    /// Slots that hold another network, or another version of theirs, than before.
    private var changed: Set<Int> = []
    private var dropped: [Route] = []
    /// By VNI, since slots still move.
    private var gained: [(route: Route, vni: UInt32)] = []
    /// Networks that took a removed one's place: the new slot by the old one, and the other way round.
    private var moved: [Int: Int] = [:]
    private var origin: [Int: Int] = [:]
    /// VNIs of networks that only receive from more than single addresses.
    private var receivers: Set<UInt32>
    private var isReshaped = false

    init(_ old: Snapshot) {
        self.old = old
        networks = old.networks
        vniOfSlot = old.topology.vniOfSlot
        receivers = old.topology.receivers
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
                    receivers.remove(newValue.configuration.vni)
                } else {
                    receivers.insert(newValue.configuration.vni)
                }
                isReshaped = true
            }
            if before != after {
                dropped += before
                gained += after.map { ($0, newValue.configuration.vni) }
                isReshaped = true
            }
            networks[slot] = newValue
            changed.insert(slot)
        }
    }

    /// Adds a network, after others were removed.
    mutating func append(_ network: VirtualNetwork) {
        gained += network.configuration.ownedRoutes.map { ($0, network.configuration.vni) }
        if !network.configuration.wideReceiveRoutes.isEmpty { receivers.insert(network.configuration.vni) }
        changed.insert(networks.count)
        networks.append(network)
        vniOfSlot.append(network.configuration.vni)
        isReshaped = true
    }

    /// Removes the networks of these slots. The last ones take their places.
    mutating func remove(_ slots: some Sequence<Int>) {
        // From the highest on: what takes a place stays.
        for slot in slots.sorted(by: >) {
            let last = networks.count - 1
            dropped += networks[slot].configuration.ownedRoutes
            receivers.remove(networks[slot].configuration.vni)
            networks.swapAt(slot, last)
            vniOfSlot.swapAt(slot, last)
            networks.removeLast()
            vniOfSlot.removeLast()
            if slot < last {
                let from = origin[last] ?? last
                moved[from] = slot
                origin[slot] = from
                changed.insert(slot)
            }
            isReshaped = true
        }
    }

    func finish() -> Snapshot {
        guard isReshaped else {
            return Snapshot(after: old, networks: networks, changed: changed, topology: old.topology)
        }
        var receiveRoutes: [UInt32: [Route]] = [:]
        if !receivers.isEmpty {
            for network in networks where receivers.contains(network.configuration.vni) {
                receiveRoutes[network.configuration.vni] = network.configuration.routes
            }
        }
        let topology = Topology(
            after: old.topology, vniOfSlot: vniOfSlot, moved: moved, dropped: dropped, gained: gained,
            receivers: receiveRoutes)
        return Snapshot(after: old, networks: networks, changed: changed, topology: topology)
    }
}
