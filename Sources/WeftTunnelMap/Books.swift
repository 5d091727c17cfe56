// SPDX-License-Identifier: Apache-2.0
import CWeftTunnelMap
import Weft

/// What stands in the kernel's maps, so that a change writes only what differs. Each step of a change is booked when the kernel has
/// done it.
struct Books {
    struct Slot {
        var group: UInt32
        /// The last reconciliation that wanted the entry.
        var round: UInt32
    }

    /// The group of an entry that is wanted and not in the maps yet.
    static let unwritten: UInt32 = 0

    /// Takes an entry out that was not written after all.
    mutating func forgetUnwritten(_ prefix: Prefix) {
        if entries[prefix]?.group == Self.unwritten { entries[prefix] = nil }
    }

    struct Group {
        var content: GroupContent
        /// How many prefixes lead to it.
        var entries = 0
    }

    struct Peer {
        let number: UInt32
        var isProbed: Bool
    }

    var entries: [Prefix: Slot] = [:]
    var groups: [UInt32: Group] = [:]
    var groupNumbers: [GroupContent: UInt32] = [:]
    var nexthops: [UInt32: NexthopRecord] = [:]
    var nexthopNumbers: [NexthopRecord: UInt32] = [:]
    var peers: [String: Peer] = [:]
    var peerNames: [UInt32: String] = [:]
    var senders: Set<GeneveSender> = []
    var round: UInt32 = 0

    private var nextGroup: UInt32 = 1
    private var freeNexthops = Numbers()
    private var freePeers = Numbers()

    /// Numbers of array elements. One that was freed is used again as late as can be, since packets that are on
    /// their way may still read the element.
    struct Numbers {
        private var next: UInt32 = 0
        private var freed: [UInt32] = []

        mutating func take(below limit: Int) -> UInt32? {
            if Int(next) < limit {
                next += 1
                return next - 1
            }
            return freed.isEmpty ? nil : freed.removeFirst()
        }

        mutating func free(_ number: UInt32) { freed.append(number) }

        /// Starts over after the numbers that are in use.
        mutating func restart(used: some Collection<UInt32>) {
            next = used.max().map { $0 + 1 } ?? 0
            let used = Set(used)
            freed = (0..<next).filter { !used.contains($0) }
        }
    }

    init() {}

    /// Reads the books off maps that somebody else has filled.
    init(reading tables: Tables) throws(TunnelMapError) {
        var books = Books()
        try tables.groups.forEach { number, value throws(TunnelMapError) in
            guard let content = GroupContent(value) else {
                throw .damaged("group \(number) has \(value.count) members")
            }
            books.groups[number] = Group(content: content)
            books.groupNumbers[content] = number
        }
        try tables.names.forEach { name, number in
            let flags = tables.peers.value(of: number) ?? 0
            books.peers[name.name] = Peer(number: number, isProbed: flags & UInt32(WEFT_PEER_PROBED) != 0)
            books.peerNames[number] = name.name
        }
        for group in books.groups.values {
            for member in group.content.members where books.nexthops[member.nexthop] == nil {
                guard let record = tables.nexthops.value(of: member.nexthop).flatMap({ NexthopRecord($0) }) else {
                    throw .damaged("nexthop \(member.nexthop)")
                }
                books.nexthops[member.nexthop] = record
                books.nexthopNumbers[record] = member.nexthop
            }
        }
        var unknown: UInt32?
        try tables.forEachPrefix { prefix, number in
            books.entries[prefix] = Slot(group: number, round: 0)
            if books.groups[number] == nil { unknown = number }
            books.groups[number]?.entries += 1
        }
        if let unknown { throw .damaged("there is no group \(unknown)") }
        try tables.senders.forEach { sender, _ in
            if let address = sender.address.address(v6: sender.v6 != 0) {
                books.senders.insert(GeneveSender(address: address, vni: sender.vni))
            }
        }
        books.nextGroup = (books.groups.keys.max() ?? 0) &+ 1
        books.freeNexthops.restart(used: books.nexthops.keys)
        books.freePeers.restart(used: books.peerNames.keys)
        self = books
    }

    /// A number that no group has had for a long time.
    mutating func takeGroupNumber() -> UInt32 {
        while groups[nextGroup] != nil || nextGroup == Self.unwritten { nextGroup &+= 1 }
        defer { nextGroup &+= 1 }
        return nextGroup
    }

    mutating func takeNexthopNumber(capacity: Int) throws(TunnelMapError) -> UInt32 {
        guard let number = freeNexthops.take(below: capacity) else { throw .full(what: "nexthops", capacity: capacity) }
        return number
    }

    mutating func takePeerNumber(capacity: Int) throws(TunnelMapError) -> UInt32 {
        guard let number = freePeers.take(below: capacity) else { throw .full(what: "peers", capacity: capacity) }
        return number
    }

    mutating func freeNexthop(_ number: UInt32) {
        if let record = nexthops.removeValue(forKey: number) { nexthopNumbers[record] = nil }
        freeNexthops.free(number)
    }

    mutating func freePeer(_ name: String) {
        guard let peer = peers.removeValue(forKey: name) else { return }
        peerNames[peer.number] = nil
        freePeers.free(peer.number)
    }

    mutating func book(_ content: GroupContent, as number: UInt32) {
        if let old = groups[number] {
            if groupNumbers[old.content] == number { groupNumbers[old.content] = nil }
            groups[number]?.content = content
        } else {
            groups[number] = Group(content: content)
        }
        groupNumbers[content] = number
    }

    /// The nexthops of a group, as they were given.
    func nexthops(of group: Group) -> [Nexthop] {
        group.content.members.compactMap { member in
            nexthops[member.nexthop]?.nexthop(weight: member.weight, peer: peerNames[member.peer] ?? "?")
        }
    }

    /// The entry with the longest prefix over an address.
    func longest(over address: IPAddress) -> (prefix: Prefix, group: Group)? {
        for length in (0...address.family.bitWidth).reversed() {
            guard let prefix = Prefix(address, length: length), let slot = entries[prefix],
                let group = groups[slot.group]
            else { continue }
            return (prefix, group)
        }
        return nil
    }
}
