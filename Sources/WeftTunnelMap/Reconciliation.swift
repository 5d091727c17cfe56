// SPDX-License-Identifier: Apache-2.0
import CWeftTunnelMap
import Weft

/// One change of the maps to a desired state.
///
/// Nothing is written before everything was checked. Then what is referred to is written before what refers to it, and
/// deleted after, so that a packet finds a whole path at any time.
struct Reconciliation {
    /// A group that is wanted.
    private struct Target {
        let nexthops: [Nexthop]
        let neverInTheClear: Bool
        var content: GroupContent?
        var number: UInt32?
    }

    private struct Shape: Hashable {
        let nexthops: [Nexthop]
        let neverInTheClear: Bool
    }

    private let tables: Tables
    private let probed: Set<String>
    private var targets: [Target] = []
    private var shapes: [Shape: Int] = [:]
    private var interfaces: [String: UInt32] = [:]
    private(set) var changes = TunnelMapChanges()

    init(tables: Tables, probed: Set<String>) {
        self.tables = tables
        self.probed = probed
    }

    /// Checks an entry and gives the index of its target.
    private mutating func target(of entry: TunnelMapEntry) throws(TunnelMapError) -> Int {
        let shape = Shape(nexthops: entry.nexthops, neverInTheClear: entry.neverInTheClear)
        if let known = shapes[shape] { return known }
        if let flaw = entry.flaw { throw .invalid(entry.prefix, reason: flaw) }
        for nexthop in entry.nexthops where interfaces[nexthop.interface] == nil {
            interfaces[nexthop.interface] = try Interface(nexthop.interface).index
        }
        targets.append(Target(nexthops: entry.nexthops, neverInTheClear: entry.neverInTheClear))
        shapes[shape] = targets.count - 1
        return targets.count - 1
    }

    /// Makes the maps exactly as desired.
    mutating func reconcile(_ desired: [TunnelMapEntry], _ books: inout Books) throws(TunnelMapError) {
        books.round &+= 1
        var added: [(Prefix, target: Int)] = []
        var found: [(Prefix, target: Int)] = []
        var new: Set<Prefix> = []
        for entry in desired {
            let target = try target(of: entry)
            if var slot = books.entries[entry.prefix] {
                guard slot.round != books.round else { throw .duplicate(entry.prefix) }
                slot.round = books.round
                books.entries[entry.prefix] = slot
                found.append((entry.prefix, target))
            } else {
                guard new.insert(entry.prefix).inserted else { throw .duplicate(entry.prefix) }
                added.append((entry.prefix, target))
            }
        }
        let capacity = tables.capacity.entries
        guard desired.count <= capacity else { throw .full(what: "entries", capacity: capacity) }
        var removed: [Prefix] = []
        if found.count < books.entries.count {
            removed = books.entries.filter { $0.value.round != books.round }.map(\.key)
        }
        // Rather a full path for what stays than for what goes; but there may be room for one of both only.
        let mustRemoveFirst = books.entries.count + added.count > capacity
        try resolve(&books)
        if mustRemoveFirst { try remove(removed, &books) }
        try setGroups(found, &books)
        let moved = found.filter { books.entries[$0.0]?.group != targets[$0.target].number }
        try write(moved, &books, isNew: false)
        try write(added, &books, isNew: true)
        if !mustRemoveFirst { try remove(removed, &books) }
        try finish(&books)
    }

    /// Adds an entry or replaces it.
    mutating func update(_ entry: TunnelMapEntry, _ books: inout Books) throws(TunnelMapError) {
        let target = try target(of: entry)
        let isNew = books.entries[entry.prefix] == nil
        let capacity = tables.capacity.entries
        guard !isNew || books.entries.count < capacity else { throw .full(what: "entries", capacity: capacity) }
        try resolve(&books)
        let own = [(entry.prefix, target: target)]
        try setGroups(isNew ? [] : own, &books)
        if isNew || books.entries[entry.prefix]?.group != targets[target].number {
            try write(own, &books, isNew: isNew)
        }
        try finish(&books)
    }

    mutating func delete(_ prefix: Prefix, _ books: inout Books) throws(TunnelMapError) {
        guard books.entries[prefix] != nil else { throw .noEntry(prefix) }
        try remove([prefix], &books)
        try finish(&books)
    }

    /// Gives nexthops and peers numbers and writes those that are new.
    private mutating func resolve(_ books: inout Books) throws(TunnelMapError) {
        for index in targets.indices {
            var members: [GroupContent.Member] = []
            for nexthop in targets[index].nexthops {
                let record = NexthopRecord(nexthop, interfaceIndex: interfaces[nexthop.interface] ?? 0)
                members.append(
                    GroupContent.Member(
                        seed: record.seed, nexthop: try number(of: record, &books),
                        peer: try number(ofPeer: nexthop.peer, &books), weight: UInt32(nexthop.weight)))
            }
            let content = GroupContent(members: members, neverInTheClear: targets[index].neverInTheClear)
            targets[index].content = content
            targets[index].number = books.groupNumbers[content]
        }
        try probe(&books)
        let wanted = Set(
            books.nexthops.values.filter { $0.protocol == .geneveDirect }
                .compactMap { record in record.remote.map { Books.Sender(address: $0, vni: record.vni) } })
        for sender in wanted.subtracting(books.senders) {
            try tables.senders.set(sender.value, to: sender.address.family == .v6 ? 1 : 0)
            books.senders.insert(sender)
            changes.writes += 1
        }
    }

    private mutating func number(of record: NexthopRecord, _ books: inout Books) throws(TunnelMapError) -> UInt32 {
        if let known = books.nexthopNumbers[record] { return known }
        let number = try books.takeNexthopNumber(capacity: tables.capacity.nexthops)
        books.nexthops[number] = record
        books.nexthopNumbers[record] = number
        try tables.nexthops.set(number, to: record.value)
        try tables.counters.set(number, to: Array(repeating: weft_counter(), count: tables.processors))
        changes.writes += 1
        return number
    }

    private mutating func number(ofPeer name: String, _ books: inout Books) throws(TunnelMapError) -> UInt32 {
        if let known = books.peers[name] { return known.number }
        let number = try books.takePeerNumber(capacity: tables.capacity.peers)
        let isProbed = probed.contains(name)
        try tables.peers.set(number, to: UInt32(isProbed ? WEFT_PEER_PROBED : WEFT_PEER_HEALTHY))
        try tables.names.set(weft_name(name), to: number)
        books.peers[name] = Books.Peer(number: number, isProbed: isProbed)
        books.peerNames[number] = name
        changes.writes += 2
        return number
    }

    /// Begins or ends the probing of peers that are there already. A peer that nobody probes any more is healthy.
    private mutating func probe(_ books: inout Books) throws(TunnelMapError) {
        for (name, peer) in books.peers where peer.isProbed != probed.contains(name) {
            let flags = tables.peers.value(of: peer.number) ?? 0
            let probing = UInt32(WEFT_PEER_PROBED), healthy = UInt32(WEFT_PEER_HEALTHY)
            try tables.peers.set(peer.number, to: peer.isProbed ? flags & ~probing | healthy : flags | probing)
            books.peers[name]?.isProbed = !peer.isProbed
            changes.writes += 1
        }
    }

    /// Writes the groups that are new, in the place of an old one where all its prefixes go to the same new one.
    private mutating func setGroups(_ found: [(Prefix, target: Int)], _ books: inout Books) throws(TunnelMapError) {
        struct Heading {
            var target: Int
            var count: Int
            var isCommon: Bool
        }
        var headings: [UInt32: Heading] = [:]
        for (prefix, target) in found where targets[target].number == nil {
            guard let group = books.entries[prefix]?.group else { continue }
            if var heading = headings[group] {
                heading.isCommon = heading.isCommon && heading.target == target
                heading.count += 1
                headings[group] = heading
            } else {
                headings[group] = Heading(target: target, count: 1, isCommon: true)
            }
        }
        for (number, heading) in headings
        where heading.isCommon && targets[heading.target].number == nil
            && heading.count == books.groups[number]?.entries
        {
            guard let content = targets[heading.target].content else { continue }
            try tables.groups.set(number, to: content.value)
            books.book(content, as: number)
            targets[heading.target].number = number
            changes.writes += 1
            changes.changed += heading.count
        }
        var numbers: [UInt32] = []
        var contents: [GroupContent] = []
        for index in targets.indices where targets[index].number == nil {
            guard let content = targets[index].content else { continue }
            // Two lists may differ in nothing but their order.
            if let known = books.groupNumbers[content] {
                targets[index].number = known
                continue
            }
            let number = books.takeGroupNumber()
            books.book(content, as: number)
            targets[index].number = number
            numbers.append(number)
            contents.append(content)
        }
        var applied = 0
        do throws(TunnelMapError) {
            try tables.groups.set(numbers, to: contents.map(\.value), applied: &applied)
        } catch {
            for number in numbers[applied...] {
                if let group = books.groups.removeValue(forKey: number) { books.groupNumbers[group.content] = nil }
            }
            changes.writes += applied
            throw error
        }
        changes.writes += applied
    }

    private mutating func write(
        _ entries: [(Prefix, target: Int)], _ books: inout Books, isNew: Bool
    ) throws(TunnelMapError) {
        for home in Tables.Home.allCases {
            let own = entries.filter { Tables.Home($0.0) == home }
            guard !own.isEmpty else { continue }
            let numbers = own.map { targets[$0.target].number ?? 0 }
            var applied = 0
            var failure: TunnelMapError?
            do throws(TunnelMapError) {
                try tables.set(own.map(\.0), in: home, to: numbers, applied: &applied)
            } catch {
                failure = error
            }
            for (index, (prefix, _)) in own.prefix(applied).enumerated() {
                if let old = books.entries.updateValue(
                    Books.Slot(group: numbers[index], round: books.round), forKey: prefix)
                {
                    books.groups[old.group]?.entries -= 1
                }
                books.groups[numbers[index]]?.entries += 1
            }
            changes.writes += applied
            if isNew { changes.added += applied } else { changes.changed += applied }
            if let failure { throw failure }
        }
    }

    private mutating func remove(_ prefixes: [Prefix], _ books: inout Books) throws(TunnelMapError) {
        for home in Tables.Home.allCases {
            let own = prefixes.filter { Tables.Home($0) == home }
            guard !own.isEmpty else { continue }
            var applied = 0
            var failure: TunnelMapError?
            do throws(TunnelMapError) {
                try tables.remove(own, in: home, applied: &applied)
            } catch {
                failure = error
            }
            for prefix in own.prefix(applied) {
                if let old = books.entries.removeValue(forKey: prefix) { books.groups[old.group]?.entries -= 1 }
            }
            changes.writes += applied
            changes.removed += applied
            if let failure { throw failure }
        }
    }

    /// Takes away what nothing refers to any more.
    private mutating func finish(_ books: inout Books) throws(TunnelMapError) {
        for (number, group) in books.groups where group.entries == 0 {
            try tables.groups.remove(number)
            books.groups[number] = nil
            if books.groupNumbers[group.content] == number { books.groupNumbers[group.content] = nil }
            changes.writes += 1
        }
        guard changes.writes > 0 else { return }
        var nexthops: Set<UInt32> = []
        var peers: Set<UInt32> = []
        for group in books.groups.values {
            for member in group.content.members {
                nexthops.insert(member.nexthop)
                peers.insert(member.peer)
            }
        }
        for number in books.nexthops.keys where !nexthops.contains(number) { books.freeNexthop(number) }
        for (name, peer) in books.peers where !peers.contains(peer.number) {
            try tables.names.remove(weft_name(name))
            books.freePeer(name)
            changes.writes += 1
        }
        let wanted = Set(
            books.nexthops.values.filter { $0.protocol == .geneveDirect }
                .compactMap { record in record.remote.map { Books.Sender(address: $0, vni: record.vni) } })
        for sender in books.senders.subtracting(wanted) {
            try tables.senders.remove(sender.value)
            books.senders.remove(sender)
            changes.writes += 1
        }
    }
}
