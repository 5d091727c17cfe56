// SPDX-License-Identifier: Apache-2.0
import CWeftTunnelMap
import Weft

/// One change of the maps to a desired state.
///
/// Nothing is written before everything was checked. Then what is referred to is written before what refers to it, and
/// deleted after, so that a packet finds a whole path at any time.
struct Reconciliation {
    /// A group that is wanted.
    struct Target {
        let nexthops: [Nexthop]
        let neverInTheClear: Bool
        var content: GroupContent?
        var number: UInt32?
    }

    private struct Shape: Hashable {
        let nexthops: [Nexthop]
        let neverInTheClear: Bool
    }

    let tables: Tables
    let probed: Set<String>
    /// Nil: whoever is a nexthop by Geneve without a device.
    let senders: Set<GeneveSender>?
    var targets: [Target] = []
    private var shapes: [Shape: Int] = [:]
    var interfaces: [String: UInt32] = [:]
    var changes = TunnelMapChanges()

    init(tables: Tables, probed: Set<String>, senders: Set<GeneveSender>?) {
        self.tables = tables
        self.senders = senders
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

    /// A desired entry by its index, and its target's. A million of them are held at a time, so they are small.
    struct Wanted {
        let entry: UInt32
        let target: UInt32
    }

    /// Makes the maps exactly as desired.
    mutating func reconcile(_ desired: [TunnelMapEntry], _ books: inout Books) throws(TunnelMapError) {
        let capacity = tables.capacity.entries
        guard desired.count <= capacity else { throw .full(what: "entries", capacity: capacity) }
        books.round &+= 1
        var added: [Wanted] = []
        var found: [Wanted] = []
        do throws(TunnelMapError) {
            try sort(desired, &books, added: &added, found: &found)
            var removed: [Prefix] = []
            if desired.count < books.entries.count {
                removed = books.entries.filter { $0.value.round != books.round }.map(\.key)
            }
            // Rather a full path for what stays than for what goes; but there may be room for one of both only.
            let mustRemoveFirst = books.entries.count > capacity
            try resolve(&books)
            if mustRemoveFirst { try remove(removed, &books) }
            try setGroups(found, of: desired, &books)
            found.removeAll { wanted in
                books.entries[desired[Int(wanted.entry)].prefix]?.group == targets[Int(wanted.target)].number
            }
            try write(found, of: desired, &books, isNew: false)
            try write(added, of: desired, &books, isNew: true)
            if !mustRemoveFirst { try remove(removed, &books) }
        } catch {
            for wanted in added { books.forgetUnwritten(desired[Int(wanted.entry)].prefix) }
            throw error
        }
        try finish(&books)
    }

    /// Tells what is there from what is not, whose place in the books is kept.
    private mutating func sort(
        _ desired: [TunnelMapEntry], _ books: inout Books, added: inout [Wanted], found: inout [Wanted]
    ) throws(TunnelMapError) {
        if books.entries.isEmpty {
            books.entries.reserveCapacity(desired.count)
            added.reserveCapacity(desired.count)
        }
        for (index, entry) in desired.enumerated() {
            let wanted = Wanted(entry: UInt32(index), target: UInt32(try target(of: entry)))
            if let slot = books.entries[entry.prefix] {
                guard slot.round != books.round else { throw .duplicate(entry.prefix) }
                books.entries[entry.prefix]?.round = books.round
                found.append(wanted)
            } else {
                books.entries[entry.prefix] = Books.Slot(group: Books.unwritten, round: books.round)
                added.append(wanted)
            }
        }
    }

    /// Adds an entry or replaces it.
    mutating func update(_ entry: TunnelMapEntry, _ books: inout Books) throws(TunnelMapError) {
        let target = try target(of: entry)
        let isNew = books.entries[entry.prefix] == nil
        let capacity = tables.capacity.entries
        guard !isNew || books.entries.count < capacity else { throw .full(what: "entries", capacity: capacity) }
        try resolve(&books)
        let own = [Wanted(entry: 0, target: UInt32(target))]
        try setGroups(isNew ? [] : own, of: [entry], &books)
        if isNew || books.entries[entry.prefix]?.group != targets[target].number {
            try write(own, of: [entry], &books, isNew: isNew)
        }
        try finish(&books)
    }

    mutating func delete(_ prefix: Prefix, _ books: inout Books) throws(TunnelMapError) {
        guard books.entries[prefix] != nil else { throw .noEntry(prefix) }
        try remove([prefix], &books)
        try finish(&books)
    }

    /// So many entries at a time are turned into keys, lest all are in memory twice.
    private static let portion = 65_536

    private mutating func write(
        _ entries: [Wanted], of desired: [TunnelMapEntry], _ books: inout Books, isNew: Bool
    ) throws(TunnelMapError) {
        for start in stride(from: 0, to: entries.count, by: Self.portion) {
            let portion = entries[start..<min(start + Self.portion, entries.count)]
            for home in Tables.Home.allCases {
                let own = portion.filter { Tables.Home(desired[Int($0.entry)].prefix) == home }
                let prefixes = own.map { desired[Int($0.entry)].prefix }
                try write(prefixes, own.map { targets[Int($0.target)].number ?? 0 }, home, &books, isNew: isNew)
            }
        }
    }

    /// Writes prefixes of one home with their groups' numbers.
    private mutating func write(
        _ prefixes: [Prefix], _ numbers: [UInt32], _ home: Tables.Home, _ books: inout Books, isNew: Bool
    ) throws(TunnelMapError) {
        var applied = 0
        var failure: TunnelMapError?
        do throws(TunnelMapError) {
            try tables.set(prefixes, in: home, to: numbers, applied: &applied)
        } catch {
            failure = error
        }
        for (prefix, number) in zip(prefixes, numbers).prefix(applied) {
            let slot = Books.Slot(group: number, round: books.round)
            if let old = books.entries.updateValue(slot, forKey: prefix) { books.groups[old.group]?.entries -= 1 }
            books.groups[number]?.entries += 1
        }
        changes.writes += applied
        if isNew { changes.added += applied } else { changes.changed += applied }
        if let failure { throw failure }
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
        let unwanted = books.senders.subtracting(wantedSenders(books))
        guard changes.writes > 0 || !unwanted.isEmpty else { return }
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
        for sender in books.senders.subtracting(wantedSenders(books)) {
            try tables.senders.remove(weft_sender(sender))
            books.senders.remove(sender)
            changes.writes += 1
        }
    }
}
