// SPDX-License-Identifier: Apache-2.0
import Weft

/// Beginning anew beside an engine that went on: sessions are gone, and networks that were granted on them live until their
/// initiators have asked again.
extension KeyResponder {
    /// How long an initiator may take to notice that its session is gone, and to ask again.
    static let orphanLife = Duration.seconds(60)

    /// Takes over networks that were granted before. What nobody may have any more is taken back at once.
    public func resume(_ networks: [GrantedNetwork], at now: Instant) {
        // The newest of an address last: it is the one that isn't for receiving only.
        for network in networks.sorted(by: { ($0.isReceiveOnly ? 0 : 1, $0.vni) < ($1.isReceiveOnly ? 0 : 1, $1.vni) })
        {
            guard let life = initiators[network.holder], mayHave(network.address, life.policy), pool.take(network.vni)
            else {
                staged.removed.insert(network.vni)
                continue
            }
            let grant = Grant(
                vni: network.vni, address: network.address, initiator: life, session: nil,
                firstPlace: AddressPair(network.endpoint, from: network.localAddress), expiry: network.expiry)
            grants.add(grant)
            life.orphans.insert(network.vni)
            orphansEnd = now.advanced(by: Self.orphanLife)
        }
        commit(at: now)
    }

    /// Takes back what nobody asked for again, and what expired.
    func endOrphans(at now: Instant) {
        guard let end = orphansEnd, now >= end else { return }
        for life in initiators.values {
            for vni in life.orphans {
                if let grant = grants[vni] { withdraw(grant, at: now) }
            }
        }
        orphansEnd = nil
    }
}
