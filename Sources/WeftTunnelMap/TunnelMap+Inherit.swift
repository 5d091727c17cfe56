// SPDX-License-Identifier: Apache-2.0
import CWeftTunnelMap
import Weft

extension TunnelMap {
    /// Fills a map that replaces one of the first layout with what that one has: entries, health, draining and who is probed. So
    /// nothing is missing between the moment that we attach and the first word of a fleet.
    /// - Returns: how many entries were inherited.
    /// - Throws: `TunnelMapError.full`, also where an interface has gone meanwhile.
    @discardableResult
    public func inherit() throws(TunnelMapError) -> Int {
        guard case .replacing(layout: 1) = origin, let pins, let old = try pins.tables(ofLayout: 1, beside: tables)
        else { return 0 }
        let books = try Books(reading: old)
        let entries = books.entries.compactMap { prefix, slot in
            books.groups[slot.group].map { group in
                TunnelMapEntry(
                    prefix: prefix, nexthops: books.nexthops(of: group), neverInTheClear: group.content.neverInTheClear)
            }
        }.filter { entry in entry.nexthops.allSatisfy { TunnelMap.hasInterface($0.interface) } }
        do throws(ReconcileError) {
            try reconcile(entries, probed: Set(books.peers.filter(\.value.isProbed).keys), senders: books.senders)
        } catch {
            throw error.cause
        }
        for (name, peer) in books.peers {
            let flags = old.peers.value(of: peer.number) ?? 0
            do throws(TunnelMapError) {
                try setHealth(of: name, to: flags & UInt32(WEFT_PEER_HEALTHY) != 0)
                try setDraining(of: name, to: flags & UInt32(WEFT_PEER_DRAINING) != 0)
            } catch {
                guard case .noPeer = error else { throw error }
            }
        }
        return entries.count
    }
}
