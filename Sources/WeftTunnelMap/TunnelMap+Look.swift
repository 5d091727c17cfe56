// SPDX-License-Identifier: Apache-2.0
import CWeftTunnelMap
import Weft

extension TunnelMap {
    /// A nexthop as it stands: what the maps have of it, and what went there.
    public struct NexthopState: Hashable, Sendable {
        public let nexthop: Nexthop
        public let isHealthy: Bool
        public let isDraining: Bool
        public let count: PacketCount

        var candidate: Choice.Candidate {
            Choice.Candidate(
                seed: nexthop.seed, weight: UInt32(nexthop.weight), isHealthy: isHealthy, isDraining: isDraining)
        }
    }

    /// An entry as it stands.
    public struct EntryState: Hashable, Sendable {
        public let prefix: Prefix
        public let neverInTheClear: Bool
        public let nexthops: [NexthopState]
    }

    /// All entries as they were given, by prefix.
    public func list() -> [TunnelMapEntry] {
        state.withLock { state in
            let nexthops = state.books.groups.mapValues { state.books.nexthops(of: $0) }
            return state.books.entries.map { prefix, slot in
                TunnelMapEntry(
                    prefix: prefix, nexthops: nexthops[slot.group] ?? [],
                    neverInTheClear: state.books.groups[slot.group]?.content.neverInTheClear ?? false)
            }.sorted { ($0.prefix.address, $0.prefix.length) < ($1.prefix.address, $1.prefix.length) }
        }
    }

    /// All entries with the state of their nexthops, by prefix.
    public func states() -> [EntryState] {
        state.withLock { state in
            let groups = state.books.groups.mapValues { nexthopStates(of: $0, in: state.books) }
            return state.books.entries.map { prefix, slot in
                EntryState(
                    prefix: prefix,
                    neverInTheClear: state.books.groups[slot.group]?.content.neverInTheClear ?? false,
                    nexthops: groups[slot.group] ?? [])
            }.sorted { ($0.prefix.address, $0.prefix.length) < ($1.prefix.address, $1.prefix.length) }
        }
    }

    /// The entry that the classifier finds for an address: the one with the longest prefix. Nil if none covers it.
    public func lookUp(_ address: IPAddress) -> EntryState? {
        state.withLock { state in
            guard let (prefix, group) = state.books.longest(over: address) else { return nil }
            return EntryState(
                prefix: prefix, neverInTheClear: group.content.neverInTheClear,
                nexthops: nexthopStates(of: group, in: state.books))
        }
    }

    /// The entry with exactly this prefix.
    public func entry(_ prefix: Prefix) -> EntryState? {
        state.withLock { state in
            guard let slot = state.books.entries[prefix], let group = state.books.groups[slot.group] else { return nil }
            return EntryState(
                prefix: prefix, neverInTheClear: group.content.neverInTheClear,
                nexthops: nexthopStates(of: group, in: state.books))
        }
    }

    /// Which of an entry's nexthops a flow goes to; nil if none is healthy.
    public static func choose(_ flow: Flow, in entry: EntryState) -> NexthopState? {
        Choice.index(of: flow.hash, among: entry.nexthops.map(\.candidate)).map { entry.nexthops[$0] }
    }

    /// How many packets had each outcome, on all processors together.
    public func outcomes() -> [ClassifierOutcome: PacketCount] {
        var result: [ClassifierOutcome: PacketCount] = [:]
        for outcome in ClassifierOutcome.allCases {
            result[outcome] = PacketCount(tables.outcomes.values(of: outcome.rawValue, processors: tables.processors))
        }
        return result
    }

    private func nexthopStates(of group: Books.Group, in books: Books) -> [NexthopState] {
        group.content.members.compactMap { member in
            guard let record = books.nexthops[member.nexthop] else { return nil }
            let flags = tables.peers.value(of: member.peer) ?? 0
            return NexthopState(
                nexthop: record.nexthop(weight: member.weight, peer: books.peerNames[member.peer] ?? "?"),
                isHealthy: flags & UInt32(WEFT_PEER_HEALTHY) != 0,
                isDraining: flags & UInt32(WEFT_PEER_DRAINING) != 0,
                count: PacketCount(tables.counters.values(of: member.nexthop, processors: tables.processors)))
        }
    }
}
