// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftControl

/// What could be read of an `[Initiator]`.
struct InitiatorDraft {
    let lines: SectionLines<InitiatorKey>
    var publicKey: PublicKey?
    var allowedIPs: ItemList<Prefix>?
    var networks: UInt32?
    var requestLimit: UInt32?
    var suite: Suite?
    var speaks: UInt32?

    var mostNetworks: Int { networks.map { Int($0) } ?? InitiatorConfiguration.defaultNetworks }

    var complete: InitiatorConfiguration? {
        guard let publicKey, let allowedIPs else { return nil }
        return InitiatorConfiguration(
            publicKey: publicKey, allowedIPs: allowedIPs.items, networks: mostNetworks,
            requestsPerSecond: requestLimit.map { Int($0) } ?? AuthorizedInitiator.defaultRequestsPerSecond,
            suite: suite ?? .aes128GCM, isFirstRelease: speaks == 1, lines: lines)
    }
}

extension TunnelFileParser {
    mutating func readInitiator(_ entries: SectionEntries<InitiatorKey>) -> InitiatorDraft {
        var draft = InitiatorDraft(lines: entries.lines)
        require([.publicKey, .allowedIPs], in: entries)
        draft.publicKey = value(of: .publicKey, in: entries) { try? PublicKey($0) }
        draft.allowedIPs = list(of: .allowedIPs, in: entries, identity: \.self) { Prefix($0) }
        draft.networks = value(of: .networks, in: entries) {
            FileValues.number($0, in: 1...UInt32(InitiatorConfiguration.mostNetworks))
        }
        draft.requestLimit = value(of: .requestLimit, in: entries) {
            FileValues.number($0, in: 1...UInt32(InitiatorConfiguration.mostRequestsPerSecond))
        }
        draft.suite = value(of: .suite, in: entries, FileValues.suite)
        draft.speaks = value(of: .speaks, in: entries) { FileValues.number($0, in: 1...1) }
        return draft
    }

    /// A file is a tunnel's or a key server's: what carries packets for the one hands out networks for the other.
    mutating func checkKinds() {
        guard let peer = peers.first?.lines.header, let initiator = initiators.first?.lines.header else { return }
        diagnostics.add(
            line: max(peer, initiator),
            """
            [Peer] stands on line \(peer) and [Initiator] on line \(initiator): expected one kind in a file: \
            move the initiators to a file of their own, with another ListenPort, for weft keyserve
            """)
    }

    /// Initiators are known by their keys, each by one of its own. What they may ask for may overlap, as an address
    /// belongs to who holds a grant for it.
    mutating func checkInitiators() {
        guard !initiators.isEmpty else { return }
        if !peers.contains(where: \.usesIdentity) { requireIdentity() }
        checkPublicKeys(initiators.map { ($0.publicKey, $0.lines[.publicKey]) }, of: "initiator")
        checkSumOfNetworks()
    }

    /// All initiators together have the VNIs there are, those in quarantine too: else some could use up the others'.
    private mutating func checkSumOfNetworks() {
        let most = AuthorizedInitiator.mostNetworksOfAll
        let sum = initiators.reduce(0) { $0 + $1.mostNetworks }
        guard sum > most else { return }
        var sumSoFar = 0
        let first = initiators.first { initiator in
            sumSoFar += initiator.mostNetworks
            return sumSoFar > most
        }
        diagnostics.add(
            line: first?.lines[.networks] ?? 0,
            """
            Networks: all initiators together may hold \(sum): expected at most \(most), for which the VNIs last, \
            \(AuthorizedInitiator.vnisPerNetwork) for each network as released ones rest for a while: lower Networks, whose \
            default is \(InitiatorConfiguration.defaultNetworks), or share the initiators out among several key servers
            """)
    }
}
