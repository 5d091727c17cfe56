// SPDX-License-Identifier: Apache-2.0
import Weft

/// What a host's file and its fleet want together.
public struct Wish: Sendable {
    public var entries: [TunnelMapEntry] = []
    /// Whom to probe, and where.
    public var probes: [String: IPAddress] = [:]
    /// Where probes may come from; nil: from anywhere, as nobody is known.
    public var sources: Set<IPAddress>?
    /// Those who are known to speak ``ProbeMessage/Version/pairs``.
    public var newProbers: Set<String> = []
    /// Whether somebody may still need probes of the first version.
    public var holdsOldProbes = true
    /// Who may send us Geneve; nil: whoever is a nexthop by it.
    public var senders: Set<GeneveSender>?
    /// What was left out, and why.
    public var complaints: [String] = []
    /// Something was left out for want of an interface, which may come.
    public var lacksInterface = false

    /// More would be of use to nobody.
    private static let complaintLimit = 1000

    mutating func complain(_ text: String) {
        if complaints.count < Self.complaintLimit { complaints.append(text) }
    }
}

extension Fleet {
    /// The entries for one host: what its file says first, then what an operator wrote to etcd, then announcements. Nexthops that
    /// are the host itself are left out, and so is each that is wrong, one by one: nobody's value costs another's.
    /// - Parameter hasInterface: whether there is an interface of that name.
    public func wish(of file: MapFile, at now: Instant, hasInterface: (String) -> Bool) -> Wish {
        var builder = WishBuilder(file: file, agents: present(at: now))
        builder.takeFile(hasInterface)
        builder.takePrefixes(entries, root: root, hasInterface)
        builder.takeAnnouncements(mustNotBeClear: gone.mapValues(\.record), own: agents[file.agent], hasInterface)
        builder.complainOfSenders()
        builder.finish()
        return builder.wish
    }
}

/// Puts a wish together.
private struct WishBuilder {
    let file: MapFile
    let agents: [String: AgentRecord]
    var wish = Wish()
    private var defaults: NexthopDefaults
    private var taken: Set<Prefix> = []
    /// The fleet's, of which the maps have room for so many at a time beside those that they replace.
    private var nexthops: Set<Nexthop> = []
    private var peers: Set<String> = []
    private static let nexthopLimit = TunnelMap.Options(name: nil).nexthopCapacity / 2
    private static let peerLimit = TunnelMap.Options(name: nil).peerCapacity / 2

    init(file: MapFile, agents: [String: AgentRecord]) {
        self.file = file
        self.agents = agents
        defaults = NexthopDefaults(local: file.local, devices: file.devices)
        wish.probes = file.probes
        for (name, agent) in agents where name != file.agent {
            defaults.remotes[name] = agent.remote.prefix(8).compactMap { IPAddress($0) }
            defaults.vni[name] = agent.vni
            defaults.protocols[name] = agent.protocol
            if file.key != nil, file.probes[name] == nil, let probe = agent.probe.flatMap({ IPAddress($0) }),
                probe.isHost
            {
                wish.probes[name] = probe
            }
        }
    }

    private var room: Int { file.capacity - wish.entries.count }

    private mutating func take(_ entry: TunnelMapEntry, _ hasInterface: (String) -> Bool) {
        if let flaw = entry.flaw { return wish.complain("\(entry.prefix): \(flaw)") }
        if let missing = entry.nexthops.first(where: { !hasInterface($0.interface) })?.interface {
            wish.lacksInterface = true
            return wish.complain("\(entry.prefix): there is no interface \(missing)")
        }
        wish.entries.append(entry)
    }

    mutating func takeFile(_ hasInterface: (String) -> Bool) {
        for entry in file.entries where taken.insert(entry.prefix).inserted { take(entry, hasInterface) }
        if !file.fleet.namesSenders { wish.senders = TunnelMap.senders(of: wish.entries) }
    }

    mutating func takePrefixes(_ entries: [Prefix: FileText.Entry], root: String, _ hasInterface: (String) -> Bool) {
        var leftOut = 0
        for (prefix, text) in entries.sorted(by: { ($0.key.address, $0.key.length) < ($1.key.address, $1.key.length) })
        {
            guard !taken.contains(prefix) else { continue }
            let others = text.nexthops.filter { $0.peer != file.agent }
            if others.isEmpty, !text.nexthops.isEmpty { continue }
            // Whoever isn't registered now comes back in when it is.
            let known = others.filter { hop in
                hop.remote != nil || hop.peer.map { defaults.remotes[$0] != nil } != false
            }
            let place = Fleet.key(root: root, prefix: prefix)
            let hops = known.prefix(Nexthop.maximumCount).compactMap { nexthop($0, place) }
            if hops.isEmpty, text.neverInTheClear != true { continue }
            guard room > 0 else {
                leftOut += 1
                continue
            }
            taken.insert(prefix)
            take(entry(prefix, hops, text.neverInTheClear == true), hasInterface)
        }
        if leftOut > 0 { wish.complain("\(leftOut) prefixes in etcd are left out: there is room for \(file.capacity)") }
    }

    /// Each announced prefix with those who serve it; none where the host serves it itself. Those who announce the most are left
    /// out first where there isn't room for all.
    mutating func takeAnnouncements(
        mustNotBeClear gone: [String: AgentRecord], own: AgentRecord?, _ hasInterface: (String) -> Bool
    ) {
        let ours = Set((own?.prefixes ?? [:]).keys.compactMap { Prefix($0) })
        var served: [String: [(prefix: Prefix, weight: Int)]] = [:]
        for (name, agent) in agents where name != file.agent {
            served[name] = (agent.prefixes ?? [:]).compactMap { text, weight in
                Prefix(text).flatMap { ours.contains($0) || taken.contains($0) ? nil : ($0, weight) }
            }
        }
        leaveOutTheLargest(&served)
        var hops: [Prefix: [Nexthop]] = [:]
        var neverClear: Set<Prefix> = []
        for (name, prefixes) in served.sorted(by: { $0.key < $1.key }) {
            var known: [Int: Nexthop?] = [:]
            for (prefix, weight) in prefixes {
                // No more fit, and the first by name are the same on all hosts.
                guard hops[prefix, default: []].count < Nexthop.maximumCount else { continue }
                let found = known[weight] ?? nexthop(FileText.Hop(peer: name, weight: weight), "agents/\(name)")
                known[weight] = found
                guard let found else { continue }
                hops[prefix, default: []].append(found)
                if agents[name]?.neverInTheClear == true { neverClear.insert(prefix) }
            }
        }
        for agent in gone.values where agent.neverInTheClear == true {
            for prefix in (agent.prefixes ?? [:]).keys.compactMap({ Prefix($0) })
            where !ours.contains(prefix) && !taken.contains(prefix) {
                neverClear.insert(prefix)
            }
        }
        for prefix in Set(hops.keys).union(neverClear).sorted(by: { ($0.address, $0.length) < ($1.address, $1.length) })
        where room > 0 {
            let isNeverClear = neverClear.contains(prefix)
            if hops[prefix] == nil, !isNeverClear { continue }
            take(entry(prefix, hops[prefix] ?? [], isNeverClear), hasInterface)
        }
    }

    /// Says so where hosts that the fleet names are not heard, since it looks like an underlay that loses packets.
    mutating func complainOfSenders() {
        guard let known = wish.senders, !file.decapsulate.isEmpty,
            !TunnelMap.senders(of: wish.entries).isSubset(of: known)
        else { return }
        wish.complain(
            "what etcd's nexthops send by geneve-direct is left alone, since the file doesn't say \"fleet\": {\"senders\": true}"
        )
    }

    private mutating func leaveOutTheLargest(_ served: inout [String: [(prefix: Prefix, weight: Int)]]) {
        var servers: [Prefix: Int] = [:]
        for prefix in served.values.joined() { servers[prefix.prefix, default: 0] += 1 }
        guard servers.count > room else { return }
        for (name, prefixes) in served.sorted(by: { ($1.value.count, $0.key) < ($0.value.count, $1.key) })
        where servers.count > room {
            for prefix in prefixes {
                let left = servers[prefix.prefix, default: 1] - 1
                servers[prefix.prefix] = left > 0 ? left : nil
            }
            served[name] = nil
            wish.complain(
                "agents/\(name) is left out: it announces \(prefixes.count) prefixes, and there is room for \(file.capacity)"
            )
        }
    }

    /// What two say alike is one.
    private func entry(_ prefix: Prefix, _ hops: [Nexthop], _ neverInTheClear: Bool) -> TunnelMapEntry {
        var seeds: Set<UInt64> = []
        return TunnelMapEntry(
            prefix: prefix, nexthops: hops.filter { seeds.insert($0.seed).inserted }, neverInTheClear: neverInTheClear)
    }

    /// A nexthop that the fleet names; nil, with a complaint, where it is wrong or not the fleet's to name.
    private mutating func nexthop(_ text: FileText.Hop, _ place: String) -> Nexthop? {
        let found: Nexthop
        do throws(MapFileError) {
            found = try text.checked(place, defaults)
        } catch {
            wish.complain(error.description)
            return nil
        }
        if let flaw = lack(of: found) {
            wish.complain("\(place): \(flaw)")
            return nil
        }
        nexthops.insert(found)
        peers.insert(found.peer)
        return found
    }

    private func lack(of nexthop: Nexthop) -> String? {
        if !file.fleet.protocols.contains(nexthop.protocol) {
            return "the file lets nobody in the fleet use \(nexthop.protocol.rawValue): fleet.protocols would say it"
        }
        if !file.fleet.interfaces.contains(nexthop.interface) {
            return "the file lets nobody in the fleet use this interface: fleet.interfaces would say it"
        }
        if let local = nexthop.local, !file.local.contains(local) { return "\(local) is none of this host's addresses" }
        if let remote = nexthop.remote {
            if !remote.isHost { return "\(remote) is no host's address" }
            if file.local.contains(remote) { return "\(remote) is this host itself" }
        }
        if nexthops.count >= Self.nexthopLimit, !nexthops.contains(nexthop) {
            return "the fleet has more than \(Self.nexthopLimit) nexthops"
        }
        if peers.count >= Self.peerLimit, !peers.contains(nexthop.peer) {
            return "the fleet has more than \(Self.peerLimit) peers"
        }
        return nil
    }

    mutating func finish() {
        let others = agents.filter { $0.key != file.agent }
        let new = others.filter { ($0.value.probeVersion ?? 1) >= Int(ProbeMessage.Version.pairs.rawValue) }
        wish.newProbers = Set(new.keys)
        wish.holdsOldProbes =
            others.isEmpty || new.count < others.count || file.probes.keys.contains { others[$0] == nil }
        var sources = Set(wish.probes.values)
        for entry in file.entries { sources.formUnion(entry.nexthops.compactMap(\.remote)) }
        for (name, agent) in others {
            sources.formUnion(defaults.remotes[name] ?? [])
            if let probe = agent.probe.flatMap({ IPAddress($0) }) { sources.insert(probe) }
        }
        wish.sources = file.probes.isEmpty && others.isEmpty ? nil : sources
        let peers = Set(wish.entries.lazy.flatMap(\.nexthops).map(\.peer))
        wish.probes = wish.probes.filter { peers.contains($0.key) }
    }
}

extension IPAddress {
    /// Whether a host can have it and others can reach it there: neither unspecified, nor loopback, multicast or broadcast.
    var isHost: Bool {
        switch family {
        case .v4: !isUnspecified && v4Bits >> 24 != 127 && v4Bits >> 28 < 0xE
        case .v6: !isUnspecified && !(high == 0 && low == 1) && high >> 56 != 0xFF
        }
    }
}
