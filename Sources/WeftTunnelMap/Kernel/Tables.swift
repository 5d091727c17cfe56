// SPDX-License-Identifier: Apache-2.0
import CWeftBPF
import CWeftTunnelMap
import Weft

/// The classifier's maps.
final class Tables: Sendable {
    let trie4: BPFMap<weft_prefix_v4, UInt32>
    let trie6: BPFMap<weft_prefix_v6, UInt32>
    let host4: BPFMap<UInt32, UInt32>
    let host6: BPFMap<weft_address, UInt32>
    let groups: BPFMap<UInt32, weft_group>
    let nexthops: BPFMap<UInt32, weft_nexthop>
    let peers: BPFMap<UInt32, UInt32>
    let names: BPFMap<weft_name, UInt32>
    let senders: BPFMap<weft_sender, UInt32>
    let locals: BPFMap<weft_local, UInt32>
    let settings: BPFMap<UInt32, weft_settings>
    let counters: BPFMap<UInt32, weft_counter>
    let outcomes: BPFMap<UInt32, weft_counter>
    /// How many values an element of `counters` and `outcomes` has.
    let processors: Int

    /// How many elements each map has room for.
    struct Capacity: Hashable {
        let entries: Int
        let nexthops: Int
        let peers: Int
    }

    static let names = [
        "weft_trie4", "weft_trie6", "weft_host4", "weft_host6", "weft_groups", "weft_nexthops", "weft_peers",
        "weft_names",
        "weft_senders", "weft_locals", "weft_settings", "weft_counters", "weft_outcomes",
    ]

    /// Takes descriptors of all maps.
    init(_ open: (String) throws(TunnelMapError) -> FileDescriptor) throws(TunnelMapError) {
        trie4 = try BPFMap("weft_trie4", owning: open("weft_trie4"))
        trie6 = try BPFMap("weft_trie6", owning: open("weft_trie6"))
        host4 = try BPFMap("weft_host4", owning: open("weft_host4"))
        host6 = try BPFMap("weft_host6", owning: open("weft_host6"))
        groups = try BPFMap("weft_groups", owning: open("weft_groups"))
        nexthops = try BPFMap("weft_nexthops", owning: open("weft_nexthops"))
        peers = try BPFMap("weft_peers", owning: open("weft_peers"))
        names = try BPFMap("weft_names", owning: open("weft_names"))
        senders = try BPFMap("weft_senders", owning: open("weft_senders"))
        locals = try BPFMap("weft_locals", owning: open("weft_locals"))
        settings = try BPFMap("weft_settings", owning: open("weft_settings"))
        counters = try BPFMap("weft_counters", owning: open("weft_counters"))
        outcomes = try BPFMap("weft_outcomes", owning: open("weft_outcomes"))
        processors = Int(max(1, libbpf_num_possible_cpus()))
    }

    var capacity: Capacity {
        Capacity(entries: trie4.capacity, nexthops: nexthops.capacity, peers: peers.capacity)
    }

    static func setCapacity(_ capacity: Capacity, of object: borrowing BPFObjectFile) throws(TunnelMapError) {
        for map in ["weft_trie4", "weft_trie6", "weft_host4", "weft_host6", "weft_groups"] {
            try object.setCapacity(of: map, to: capacity.entries)
        }
        for map in ["weft_nexthops", "weft_counters", "weft_senders"] {
            try object.setCapacity(of: map, to: capacity.nexthops)
        }
        for map in ["weft_peers", "weft_names"] { try object.setCapacity(of: map, to: capacity.peers) }
    }

    /// Descriptors by name, to pin the maps or to load a program over them.
    var descriptors: [(name: String, descriptor: Int32)] {
        [
            (trie4.name, trie4.descriptor), (trie6.name, trie6.descriptor), (host4.name, host4.descriptor),
            (host6.name, host6.descriptor), (groups.name, groups.descriptor), (nexthops.name, nexthops.descriptor),
            (peers.name, peers.descriptor), (names.name, names.descriptor), (senders.name, senders.descriptor),
            (locals.name, locals.descriptor), (settings.name, settings.descriptor),
            (counters.name, counters.descriptor),
            (outcomes.name, outcomes.descriptor),
        ]
    }

    /// Which map a prefix lives in.
    enum Home: Int, CaseIterable {
        case trie4, trie6, host4, host6

        init(_ prefix: Prefix) {
            let isHost = prefix.length == prefix.family.bitWidth
            self = prefix.family == .v4 ? (isHost ? .host4 : .trie4) : (isHost ? .host6 : .trie6)
        }
    }

    /// Writes prefixes of one home, with their groups' numbers.
    func set(_ prefixes: [Prefix], in home: Home, to values: [UInt32], applied: inout Int) throws(TunnelMapError) {
        switch home {
        case .trie4: try trie4.set(prefixes.map { weft_prefix_v4($0) }, to: values, applied: &applied)
        case .trie6: try trie6.set(prefixes.map { weft_prefix_v6($0) }, to: values, applied: &applied)
        case .host4: try host4.set(prefixes.map { $0.address.v4Bits.bigEndian }, to: values, applied: &applied)
        case .host6: try host6.set(prefixes.map { weft_address($0.address) }, to: values, applied: &applied)
        }
    }

    /// Deletes prefixes of one home.
    func remove(_ prefixes: [Prefix], in home: Home, applied: inout Int) throws(TunnelMapError) {
        switch home {
        case .trie4: try trie4.remove(prefixes.map { weft_prefix_v4($0) }, applied: &applied)
        case .trie6: try trie6.remove(prefixes.map { weft_prefix_v6($0) }, applied: &applied)
        case .host4: try host4.remove(prefixes.map { $0.address.v4Bits.bigEndian }, applied: &applied)
        case .host6: try host6.remove(prefixes.map { weft_address($0.address) }, applied: &applied)
        }
    }

    /// Calls `body` with each prefix and its group's number.
    func forEachPrefix(_ body: (Prefix, UInt32) -> Void) throws(TunnelMapError) {
        try trie4.forEach { key, group throws(TunnelMapError) in
            guard let prefix = key.prefix else { throw .damaged("a prefix of \(key.length) bits") }
            body(prefix, group)
        }
        try trie6.forEach { key, group throws(TunnelMapError) in
            guard let prefix = key.prefix else { throw .damaged("a prefix of \(key.length) bits") }
            body(prefix, group)
        }
        try host4.forEach { key, group in body(Prefix(host: IPAddress(v4: UInt32(bigEndian: key))), group) }
        try host6.forEach { key, group in
            body(Prefix(host: IPAddress(v6: UInt64(bigEndian: key.high), UInt64(bigEndian: key.low))), group)
        }
    }
}
