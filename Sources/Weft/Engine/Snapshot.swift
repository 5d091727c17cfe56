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

/// What of a snapshot stays as it is when only keys change: which network and which route leads to which slot.
final class Topology: Sendable {
    let routes: RouteTable
    /// By networks' names.
    let slots: SlotTable
    /// By slot.
    let idOfSlot: [NetworkID]
    let cryptokeys: CryptokeyRouting
    /// Networks that only receive, with routes to more than single addresses.
    let receivers: Set<NetworkID>
    /// In the order that ``RouteTable`` wants.
    private let owned: [(route: Route, slot: UInt32)]

    init() {
        owned = []
        idOfSlot = []
        routes = RouteTable([])
        slots = SlotTable([])
        receivers = []
        cryptokeys = CryptokeyRouting([], receivers: [])
    }

    /// The next version of `old`.
    /// - Parameters:
    ///   - moved: slots that have another number now, by the old one.
    ///   - dropped: routes that are gone, in any order.
    ///   - gained: routes that are new, in any order, and the networks that they lead to; one may be dropped and gained.
    ///   - receivers: networks that only receive from more than single addresses, and their routes.
    init(
        after old: Topology, idOfSlot: [NetworkID], moved: [Int: Int], dropped: [Route],
        gained: [(route: Route, id: NetworkID)], receivers: [NetworkID: [Route]]
    ) {
        let slots = SlotTable(idOfSlot.enumerated().map { ($1.rawValue, $0) })
        var slotNow = (0..<UInt32(old.idOfSlot.count)).map(\.self)
        for (from, to) in moved { slotNow[from] = UInt32(to) }
        var dropped = dropped.sorted(by: RouteTable.precedes)[...]
        var gained = gained.sorted { RouteTable.precedes($0.route, $1.route) }[...]
        var owned: [(route: Route, slot: UInt32)] = []
        owned.reserveCapacity(old.owned.count + gained.count)
        func gain(_ next: (route: Route, id: NetworkID)) {
            guard owned.last?.route != next.route else { return }
            if let slot = slots.slot(of: next.id.rawValue) { owned.append((next.route, UInt32(slot))) }
        }
        for (route, slot) in old.owned {
            while let next = dropped.first, RouteTable.precedes(next, route) { dropped.removeFirst() }
            if dropped.first == route { continue }
            while let next = gained.first, RouteTable.precedes(next.route, route) {
                gain(next)
                gained.removeFirst()
            }
            owned.append((route, slotNow[Int(slot)]))
        }
        for next in gained { gain(next) }
        self.slots = slots
        self.idOfSlot = idOfSlot
        self.owned = owned
        routes = RouteTable(sorted: owned)
        self.receivers = Set(receivers.keys)
        cryptokeys = CryptokeyRouting(
            owned,
            receivers: receivers.compactMap { id, routes in slots.slot(of: id.rawValue).map { ($0, routes) } })
    }

    func slot(of network: NetworkID) -> Int? { slots.slot(of: network.rawValue) }

    /// Which VNI leads to which slot: networks' own ones, and those that are named beside.
    func vnis(named: [UInt32: NetworkID]) -> SlotTable {
        // A number's name is no VNI, so that nothing finds it.
        guard !named.isEmpty else { return slots }
        var places = named.compactMap { vni, id in slot(of: id).map { (vni, $0) } }
        for (slot, id) in idOfSlot.enumerated() {
            if let vni = id.vni { places.append((vni, slot)) }
        }
        return SlotTable(places)
    }
}

/// Finds a number's slot: open addressing, at most half full.
final class SlotTable: Sendable {
    fileprivate struct Entry: BitwiseCopyable {
        /// The highest where empty.
        var number: UInt32 = .max
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

    /// - Parameter places: distinct numbers but the highest, with their slots.
    init(_ places: [(number: UInt32, slot: Int)]) {
        var bits: UInt32 = 3
        while 1 << bits < places.count * 2 { bits += 1 }
        var entries = [Entry](repeating: Entry(), count: 1 << Int(bits))
        for (number, slot) in places {
            var index = Self.hash(number, shift: 32 - bits)
            while entries[index].number != .max { index = (index + 1) & (entries.count - 1) }
            entries[index] = Entry(number: number, slot: UInt32(slot))
        }
        self.entries = FixedArray(entries)
        shift = 32 - bits
    }

    @inline(__always)
    fileprivate static func hash(_ number: UInt32, shift: UInt32) -> Int { Int((number &* 0x9E37_79B1) &>> shift) }

    func slot(of number: UInt32) -> Int? { unsafe view.slot(of: number) }
}

extension SlotTable.View {
    @inline(__always)
    func slot(of number: UInt32) -> Int? {
        // Callers pass any number; the one that marks an empty entry is nobody's.
        guard number != .max else { return nil }
        var index = SlotTable.hash(number, shift: shift)
        while true {
            let entry = entries[index]
            if entry.number == number { return Int(entry.slot) }
            if entry.number == .max { return nil }
            index = (index &+ 1) & (entries.count &- 1)
        }
    }
}
