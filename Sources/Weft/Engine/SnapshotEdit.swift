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
    private var isReshaped = false

    init(_ old: Snapshot) {
        self.old = old
        networks = old.networks
        vniOfSlot = old.topology.vniOfSlot
    }

    /// Whether nothing was changed.
    var isEmpty: Bool { changed.isEmpty && !isReshaped }

    /// The network in a slot of the old snapshot. Set it at most once, and before any is removed, to give it another
    /// version.
    subscript(slot: Int) -> VirtualNetwork {
        get { networks[slot] }
        set {
            let (before, after) = (networks[slot].configuration.ownedRoutes, newValue.configuration.ownedRoutes)
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
        let topology = Topology(
            after: old.topology, vniOfSlot: vniOfSlot, moved: moved, dropped: dropped, gained: gained)
        return Snapshot(after: old, networks: networks, changed: changed, topology: topology)
    }
}
