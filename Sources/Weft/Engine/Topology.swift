// SPDX-License-Identifier: Apache-2.0

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
