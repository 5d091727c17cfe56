// SPDX-License-Identifier: Apache-2.0
import Weft

/// The networks that are granted, and for each address which of its networks carries what is sent there: the newest.
///
/// Each change costs the same however many networks there are, and however many have one address.
struct GrantTable {
    /// The networks of one address are linked in the order in which they were granted.
    private struct Entry {
        var grant: Grant
        var older: UInt32?
        var newer: UInt32?
    }

    private var entries: [UInt32: Entry] = [:]
    private var newest: [IPAddress: UInt32] = [:]

    subscript(vni: UInt32) -> Grant? { entries[vni]?.grant }

    var all: some Sequence<Grant> { entries.values.lazy.map(\.grant) }

    /// The network that carries what is sent to an address.
    func newest(of address: IPAddress) -> Grant? { newest[address].flatMap { self[$0] } }

    /// Adds a network, which is the newest of its address from now on.
    mutating func add(_ grant: Grant) {
        let older = newest.updateValue(grant.vni, forKey: grant.address)
        entries[grant.vni] = Entry(grant: grant, older: older)
        if let older { entries[older]?.newer = grant.vni }
    }

    /// Removes a network; the one that carries what is sent to its address from now on, if that is another.
    mutating func remove(_ vni: UInt32) -> UInt32? {
        guard let entry = entries.removeValue(forKey: vni) else { return nil }
        if let older = entry.older { entries[older]?.newer = entry.newer }
        if let newer = entry.newer {
            entries[newer]?.older = entry.older
            return nil
        }
        newest[entry.grant.address] = entry.older
        return entry.older
    }
}
