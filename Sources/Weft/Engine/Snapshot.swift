// SPDX-License-Identifier: Apache-2.0

/// Everything that lanes look up, frozen. A change makes a new one; a lane keeps the one it has until it looks again.
final class Snapshot: Sendable {
    /// By slot; a slot's number is good within one snapshot.
    let networks: [VirtualNetwork]
    let topology: Topology
    let generation: UInt64

    init(networks: [VirtualNetwork], topology: Topology, generation: UInt64) {
        self.networks = networks
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
                network.configuration.routes.map { (route: $0, slot: UInt32(slot)) }
            })
        vnis = VNITable(networks.map(\.configuration.vni))
    }
}

/// Finds a VNI's slot: open addressing, at most half full.
struct VNITable: Sendable {
    private struct Entry {
        /// Above 24 bits where empty.
        var vni: UInt32 = .max
        var slot: UInt32 = 0
    }

    private let entries: [Entry]
    private let shift: UInt32

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
        self.entries = entries
        shift = 32 - bits
    }

    @inline(__always)
    private static func hash(_ vni: UInt32, shift: UInt32) -> Int { Int((vni &* 0x9E37_79B1) &>> shift) }

    @inline(__always)
    func slot(of vni: UInt32) -> Int? {
        // Callers pass any number; the one that marks an empty entry is nobody's.
        guard vni != .max else { return nil }
        var index = Self.hash(vni, shift: shift)
        while true {
            let entry = entries[index]
            if entry.vni == vni { return Int(entry.slot) }
            if entry.vni == .max { return nil }
            index = (index &+ 1) & (entries.count &- 1)
        }
    }
}
