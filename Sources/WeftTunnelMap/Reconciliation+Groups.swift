// SPDX-License-Identifier: Apache-2.0
import CWeftTunnelMap
import Weft

// What prefixes lead to: nexthops, peers and groups.
extension Reconciliation {
    /// Gives nexthops and peers numbers and writes those that are new.
    mutating func resolve(_ books: inout Books) throws(TunnelMapError) {
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
        let wanted = wantedSenders(books)
        for sender in wanted.subtracting(books.senders) {
            try tables.senders.set(weft_sender(sender), to: 1)
            books.senders.insert(sender)
            changes.writes += 1
        }
    }

    /// Who may send us Geneve: each nexthop by it that isn't refused.
    func wantedSenders(_ books: Books) -> Set<GeneveSender> {
        let all = Set(
            books.nexthops.values.lazy.filter { $0.protocol == .geneveDirect }
                .compactMap { record in record.remote.map { GeneveSender(address: $0, vni: record.vni) } })
        return senders.map { all.intersection($0) } ?? all
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
    mutating func setGroups(
        _ found: [Wanted], of desired: [TunnelMapEntry], _ books: inout Books
    ) throws(TunnelMapError) {
        struct Heading {
            var target: Int
            var count: Int
            var isCommon: Bool
        }
        var headings: [UInt32: Heading] = [:]
        for wanted in found where targets[Int(wanted.target)].number == nil {
            guard let group = books.entries[desired[Int(wanted.entry)].prefix]?.group else { continue }
            let target = Int(wanted.target)
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
}
