// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftControl
import WeftPair

/// The networks that a control process granted, and those that it is about to: each is held against what the file allows.
struct GrantBooks {
    private var granted: [UInt32: GrantRecord] = [:]
    private var staged = Staged()
    /// Networks by initiator.
    private var counts: [UInt32: Int] = [:]

    private struct Staged {
        var removed: Set<UInt32> = []
        var changed: [UInt32: GrantRecord] = [:]
        var added: [UInt32: (GrantRecord, SAPair)] = [:]
    }

    var all: [GrantRecord] { Array(granted.values) }

    /// Whether a network is one of them.
    func has(_ network: NetworkID) -> Bool { network.vni.map { granted[$0] != nil } ?? false }

    mutating func remove(_ vni: UInt32) {
        // Its place is free at once: what comes for it in the same step needs none of its own.
        guard let grant = granted[vni], staged.removed.insert(vni).inserted else { return }
        counts[grant.initiator, default: 1] -= 1
    }

    /// Whether an initiator may have the network; it is there with the next ``takeStaged(_:)``.
    mutating func add(_ grant: GrantRecord, _ keys: SAPair, _ server: ServedConfiguration.KeyServer) -> Bool {
        guard let initiator = server.initiators[grant.initiator], Self.allows(grant, initiator, server),
            // Twice as many for those whose initiator asks again after a control process has ended.
            counts[grant.initiator, default: 0] < min(initiator.networks, 1 << 24) * 2,
            // A granted network has its VNI for both directions.
            keys.receiveVNI == nil, keys.transmitVNI == nil,
            granted[grant.vni] == nil || staged.removed.contains(grant.vni), staged.added[grant.vni] == nil
        else { return false }
        staged.added[grant.vni] = (grant, keys)
        counts[grant.initiator, default: 0] += 1
        return true
    }

    /// Whether the network is there, with the same address and holder.
    mutating func change(_ grant: GrantRecord, _ server: ServedConfiguration.KeyServer) -> Bool {
        guard let now = granted[grant.vni], now.initiator == grant.initiator, now.address == grant.address
        else { return false }
        staged.changed[grant.vni] = grant
        return true
    }

    private static func allows(
        _ grant: GrantRecord, _ initiator: AuthorizedInitiator, _ server: ServedConfiguration.KeyServer
    ) -> Bool {
        initiator.prefixes.contains { $0.contains(grant.address) }
            && !server.configuration.reserved.contains(grant.address)
    }

    /// What is to change, in one step; from then on it counts as done.
    mutating func takeStaged(_ server: ServedConfiguration.KeyServer) -> GrantChanges {
        var changes = GrantChanges()
        changes.removed = staged.removed
        for (vni, grant) in staged.changed where !staged.removed.contains(vni) {
            granted[vni] = grant
            if let network = Self.network(grant, server) { changes.changed.append(network) }
        }
        for vni in staged.removed { granted[vni] = nil }
        for (vni, (grant, keys)) in staged.added {
            guard let network = Self.network(grant, server) else { continue }
            granted[vni] = grant
            changes.added.append(network)
            changes.keys[vni] = keys
        }
        staged = Staged()
        return changes
    }

    private static func network(_ grant: GrantRecord, _ server: ServedConfiguration.KeyServer) -> GrantedNetwork? {
        server.initiators[grant.initiator].map { initiator in
            GrantedNetwork(
                vni: grant.vni, address: grant.address, holder: initiator.publicKey, endpoint: grant.endpoint,
                localAddress: grant.localAddress, isReceiveOnly: grant.isReceiveOnly, expiry: grant.expiry)
        }
    }

    /// The engine doesn't have it.
    mutating func forget(_ vni: UInt32) {
        guard let grant = granted.removeValue(forKey: vni) else { return }
        counts[grant.initiator, default: 1] -= 1
    }

    /// Forgets what was announced and not applied.
    mutating func forgetStaged() {
        for (_, (grant, _)) in staged.added { counts[grant.initiator, default: 1] -= 1 }
        for vni in staged.removed {
            if let grant = granted[vni] { counts[grant.initiator, default: 0] += 1 }
        }
        staged = Staged()
    }
}
