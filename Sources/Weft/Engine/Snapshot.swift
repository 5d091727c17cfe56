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

    init(networks: [VirtualNetwork], topology: Topology, generation: UInt64) {
        self.networks = networks
        networkViews = FixedArray(networks.map { unsafe $0.view })
        self.topology = topology
        self.generation = generation
    }

    static let empty = Snapshot(networks: [], topology: Topology([]), generation: 0)
}

/// What of a snapshot stays as it is when only keys change: which VNI and which route leads to which slot.
final class Topology: Sendable {
    let routes: RouteTable
    let vnis: VNITable

    init(_ networks: [VirtualNetwork]) {
        routes = RouteTable(
            networks.enumerated().flatMap { slot, network in
                network.configuration.ownedRoutes.map { (route: $0, slot: UInt32(slot)) }
            })
        vnis = VNITable(networks.map(\.configuration.vni))
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
