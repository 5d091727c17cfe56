// SPDX-License-Identifier: Apache-2.0

/// Everything that lanes look up, frozen. A change makes a new one; a lane keeps the one it has until it looks again.
final class Snapshot: Sendable {
    /// By slot; a slot's number is good within one snapshot.
    let networks: [VirtualNetwork]
    let topology: Topology
    let generation: UInt64
    private let networkViews: FixedArray<NetworkView>

    /// What the packet path looks up, without ownership.
    @safe
    struct View: BitwiseCopyable {
        let networks: BorrowedArray<NetworkView>
        let routes: RouteTable.View
        let vnis: VNITable.View
    }

    /// Valid as long as the snapshot lives.
    @unsafe
    var view: View {
        unsafe View(networks: networkViews.borrowed, routes: topology.routes.view, vnis: topology.vnis.view)
    }

    private init() {
        networks = []
        networkViews = FixedArray([])
        topology = Topology()
        generation = 0
    }

    /// The next version of `old`. Only networks of `changed` slots, and those behind the old ones' end, are looked at: others
    /// are what they were.
    init(after old: Snapshot, networks: [VirtualNetwork], changed: Set<Int>, topology: Topology) {
        self.networks = networks
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

/// What of a snapshot stays as it is when only keys change: which VNI and which route leads to which slot.
final class Topology: Sendable {
    let routes: RouteTable
    let vnis: VNITable
    /// By slot.
    let vniOfSlot: [UInt32]
    let cryptokeys: CryptokeyRouting
    /// VNIs of networks that only receive, with routes to more than single addresses.
    let receivers: Set<UInt32>
    /// In the order that ``RouteTable`` wants.
    private let owned: [(route: Route, slot: UInt32)]

    init() {
        owned = []
        vniOfSlot = []
        routes = RouteTable([])
        vnis = VNITable([])
        receivers = []
        cryptokeys = CryptokeyRouting([], receivers: [])
    }

    /// The next version of `old`.
    /// - Parameters:
    ///   - moved: slots that have another number now, by the old one.
    ///   - dropped: routes that are gone, in any order.
    ///   - gained: routes that are new, in any order, and the VNIs that they lead to; one may be dropped and gained.
    ///   - receivers: VNIs and routes of networks that only receive from more than single addresses.
    init(
        after old: Topology, vniOfSlot: [UInt32], moved: [Int: Int], dropped: [Route],
        gained: [(route: Route, vni: UInt32)], receivers: [UInt32: [Route]]
    ) {
        let vnis = VNITable(vniOfSlot)
        var slots = (0..<UInt32(old.vniOfSlot.count)).map(\.self)
        for (from, to) in moved { slots[from] = UInt32(to) }
        var dropped = dropped.sorted(by: RouteTable.precedes)[...]
        var gained = gained.sorted { RouteTable.precedes($0.route, $1.route) }[...]
        var owned: [(route: Route, slot: UInt32)] = []
        owned.reserveCapacity(old.owned.count + gained.count)
        func gain(_ next: (route: Route, vni: UInt32)) {
            guard owned.last?.route != next.route else { return }
            if let slot = vnis.slot(of: next.vni) { owned.append((next.route, UInt32(slot))) }
        }
        for (route, slot) in old.owned {
            while let next = dropped.first, RouteTable.precedes(next, route) { dropped.removeFirst() }
            if dropped.first == route { continue }
            while let next = gained.first, RouteTable.precedes(next.route, route) {
                gain(next)
                gained.removeFirst()
            }
            owned.append((route, slots[Int(slot)]))
        }
        for next in gained { gain(next) }
        self.vnis = vnis
        self.vniOfSlot = vniOfSlot
        self.owned = owned
        routes = RouteTable(sorted: owned)
        self.receivers = Set(receivers.keys)
        cryptokeys = CryptokeyRouting(
            owned,
            receivers: receivers.compactMap { vni, routes in vnis.slot(of: vni).map { ($0, routes) } })
    }
}

/// Finds a VNI's slot: open addressing, at most half full.
final class VNITable: Sendable {
    fileprivate struct Entry: BitwiseCopyable {
        /// Above 24 bits where empty.
        var vni: UInt32 = .max
        var slot: UInt32 = 0
    }

    private let entries: FixedArray<Entry>
    private let shift: UInt32

    /// The table without its ownership.
    @safe
    struct View: BitwiseCopyable {
        fileprivate let entries: BorrowedArray<Entry>
        fileprivate let shift: UInt32
    }

    /// Valid as long as the table lives.
    @unsafe
    var view: View { unsafe View(entries: entries.borrowed, shift: shift) }

    /// - Parameter vnis: distinct, in the order of their slots.
    init(_ vnis: [UInt32]) {
        var bits: UInt32 = 3
        while 1 << bits < vnis.count * 2 { bits += 1 }
        var entries = [Entry](repeating: Entry(), count: 1 << Int(bits))
        for (slot, vni) in vnis.enumerated() {
            var index = Self.hash(vni, shift: 32 - bits)
            while entries[index].vni != .max { index = (index + 1) & (entries.count - 1) }
            entries[index] = Entry(vni: vni, slot: UInt32(slot))
        }
        self.entries = FixedArray(entries)
        shift = 32 - bits
    }

    @inline(__always)
    fileprivate static func hash(_ vni: UInt32, shift: UInt32) -> Int { Int((vni &* 0x9E37_79B1) &>> shift) }

    func slot(of vni: UInt32) -> Int? { unsafe view.slot(of: vni) }
}

extension VNITable.View {
    @inline(__always)
    func slot(of vni: UInt32) -> Int? {
        // Callers pass any number; the one that marks an empty entry is nobody's.
        guard vni != .max else { return nil }
        var index = VNITable.hash(vni, shift: shift)
        while true {
            let entry = entries[index]
            if entry.vni == vni { return Int(entry.slot) }
            if entry.vni == .max { return nil }
            index = (index &+ 1) & (entries.count &- 1)
        }
    }
}
