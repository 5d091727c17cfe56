// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftConfig
import WeftControl

extension ReloadPlan {
    /// What a changed file means for a key server.
    mutating func compareInitiators(_ old: TunnelConfiguration, _ new: TunnelConfiguration, _ servesKeys: Bool) {
        guard servesKeys else {
            if !new.initiators.isEmpty { refuse("[Initiator] makes this a key server's file") }
            return
        }
        if !new.peers.isEmpty { refuse("[Peer] makes this a tunnel's file") }
        if old.interface.localIPs != new.interface.localIPs { refuse("LocalIPs in [Interface] is another") }
        let before = Dictionary(old.initiators.map { ($0.publicKey, $0) }) { first, _ in first }
        let after = Set(new.initiators.map(\.publicKey))
        for initiator in old.initiators where !after.contains(initiator.publicKey) {
            lines.append("- initiator \(initiator.publicKey.shortName): goes, with its networks")
        }
        for initiator in new.initiators {
            guard let was = before[initiator.publicKey] else {
                lines.append("+ initiator \(initiator.publicKey.shortName): comes")
                continue
            }
            var notes: [String] = []
            if Set(was.allowedIPs) != Set(initiator.allowedIPs) {
                let prefixes = initiator.allowedIPs.map(\.description).joined(separator: ", ")
                notes.append("AllowedIPs \(prefixes); its networks go if it holds another address")
            }
            if was.networks != initiator.networks { notes.append("Networks \(initiator.networks)") }
            if was.requestsPerSecond != initiator.requestsPerSecond {
                notes.append("RequestLimit \(initiator.requestsPerSecond)")
            }
            if was.isFirstRelease != initiator.isFirstRelease {
                notes.append("Protocol \(initiator.isFirstRelease ? "1" : "weft/1")")
            }
            if was.suite != initiator.suite { notes.append("Suite \(initiator.suite.name); its networks go") }
            guard !notes.isEmpty else { continue }
            lines.append("~ initiator \(initiator.publicKey.shortName): \(notes.joined(separator: "; "))")
        }
    }
}
