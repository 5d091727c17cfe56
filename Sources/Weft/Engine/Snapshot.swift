// SPDX-License-Identifier: Apache-2.0

/// Everything that lanes look up, frozen. A change makes a new one; a lane keeps the one it has until it looks again.
final class Snapshot: Sendable {
    /// By slot; a slot's number is good within one snapshot.
    let networks: [VirtualNetwork]
    let topology: Topology
    /// The networks that VNIs lead to which aren't their own.
    let named: [UInt32: NetworkID]
    /// Which VNI leads to which slot.
    let vnis: SlotTable
    let generation: UInt64
    private let networkViews: FixedArray<NetworkView>

    /// What the packet path looks up, without ownership.
    @safe
    struct View: BitwiseCopyable {
        let networks: BorrowedArray<NetworkView>
        let routes: RouteTable.View
        let vnis: SlotTable.View
        /// By networks' names.
        let slots: SlotTable.View

        @inline(__always)
        func slot(of network: NetworkID) -> Int? { slots.slot(of: network.rawValue) }
    }

    /// Valid as long as the snapshot lives.
    @unsafe
    var view: View {
        unsafe View(
            networks: networkViews.borrowed, routes: topology.routes.view, vnis: vnis.view, slots: topology.slots.view)
    }

    private init() {
        networks = []
        networkViews = FixedArray([])
        topology = Topology()
        named = [:]
        vnis = topology.slots
        generation = 0
    }

    /// The next version of `old`. Only networks of `changed` slots, and those behind the old ones' end, are looked at: others
    /// are what they were.
    /// - Parameters:
    ///   - named: as the property; nil where it is what it was, and no network comes, goes or moves.
    init(
        after old: Snapshot, networks: [VirtualNetwork], changed: Set<Int>, topology: Topology,
        named: [UInt32: NetworkID]?
    ) {
        self.networks = networks
        self.named = named ?? old.named
        vnis = named.map { topology.vnis(named: $0) } ?? old.vnis
        var views = FixedArray<NetworkView>(capacity: networks.count)
        let common = min(networks.count, old.networks.count)
        views.append(contentsOf: old.networkViews, first: common)
        var stale = changed
        if topology !== old.topology { stale.formUnion(old.topology.cryptokeys.permits.keys) }
        for slot in stale where slot < common { views[slot] = unsafe networks[slot].view }
        for slot in common..<networks.count { views.append(unsafe networks[slot].view) }
        // Safe: the topology owns the permits, and the snapshot the topology.
        if topology === old.topology {
            for slot in changed {
                if let permit = topology.cryptokeys.permits[slot] { unsafe views[slot].restrict(to: permit) }
            }
        } else {
            for (slot, permit) in topology.cryptokeys.permits { unsafe views[slot].restrict(to: permit) }
        }
        networkViews = views
        self.topology = topology
        generation = old.generation + 1
    }

    static let empty = Snapshot()
}
