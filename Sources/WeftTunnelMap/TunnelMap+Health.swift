// SPDX-License-Identifier: Apache-2.0
import CWeftTunnelMap
import Weft

extension TunnelMap {
    /// What is known of a peer.
    public struct PeerState: Hashable, Sendable {
        public let name: String
        /// Its number in the maps, which a probe's mark carries.
        public let number: UInt32
        public let isHealthy: Bool
        public let isDraining: Bool
        /// Whether its health is the probes' to tell.
        public let isProbed: Bool
        /// How many entries have a nexthop of it.
        public let entries: Int
    }

    /// Says whether a peer is healthy: one write, whatever the number of its entries.
    /// - Returns: how many entries have other healthy nexthops now; 0 when nothing changed.
    /// - Throws: `TunnelMapError.noPeer`.
    @discardableResult
    public func setHealth(of peer: String, to isHealthy: Bool) throws(TunnelMapError) -> Int {
        try set(UInt32(WEFT_PEER_HEALTHY), of: peer, to: isHealthy)
    }

    /// Drains a peer: flows leave it at once where another nexthop is healthy. Or ends that.
    /// - Returns: how many entries have other healthy nexthops now; 0 when nothing changed.
    /// - Throws: `TunnelMapError.noPeer`.
    @discardableResult
    public func setDraining(of peer: String, to isDraining: Bool) throws(TunnelMapError) -> Int {
        try set(UInt32(WEFT_PEER_DRAINING), of: peer, to: isDraining)
    }

    private func set(_ flag: UInt32, of name: String, to isSet: Bool) throws(TunnelMapError) -> Int {
        try state.withLock { state throws(TunnelMapError) in
            guard let peer = state.books.peers[name] else { throw .noPeer(name) }
            // Another process may be draining what we find dead.
            let lock = pins?.lock()
            defer { lock?.close() }
            let old = tables.peers.value(of: peer.number) ?? 0
            let new = isSet ? old | flag : old & ~flag
            guard new != old else { return 0 }
            try tables.peers.set(peer.number, to: new)
            return state.books.entries(of: peer.number)
        }
    }

    /// All peers, by name.
    public func peers() -> [PeerState] {
        state.withLock { state in
            var entries: [UInt32: Int] = [:]
            for group in state.books.groups.values {
                for peer in Set(group.content.members.map(\.peer)) { entries[peer, default: 0] += group.entries }
            }
            return state.books.peers.map { name, peer in
                let flags = tables.peers.value(of: peer.number) ?? 0
                return PeerState(
                    name: name, number: peer.number, isHealthy: flags & UInt32(WEFT_PEER_HEALTHY) != 0,
                    isDraining: flags & UInt32(WEFT_PEER_DRAINING) != 0, isProbed: peer.isProbed,
                    entries: entries[peer.number] ?? 0)
            }.sorted { $0.name < $1.name }
        }
    }
}

extension Books {
    /// How many prefixes have a nexthop of a peer.
    fileprivate func entries(of peer: UInt32) -> Int {
        groups.values.reduce(0) { sum, group in
            group.content.members.contains { $0.peer == peer } ? sum + group.entries : sum
        }
    }
}
