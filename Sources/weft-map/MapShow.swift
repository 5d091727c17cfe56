// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftCommand
import WeftTunnelMap

/// `weft-map show`: what is in the kernel's maps, whether an agent runs or not.
enum MapShow {
    private struct Report: Codable {
        struct Peer: Codable {
            let name: String
            let healthy: Bool
            let draining: Bool
            let probed: Bool
            let prefixes: Int
            /// Seconds that its clock is ahead of ours, as it told a running agent.
            let clockAhead: Double?
        }

        struct Entry: Codable {
            let prefix: String
            let neverInTheClear: Bool
            let nexthops: [NexthopReport]
        }

        let name: String
        let interfaces: [String]
        let decapsulating: [String]
        let capacity: Int
        let peers: [Peer]
        let prefixes: [Entry]
        let outcomes: [String: PacketCount]
    }

    static func run(_ words: Arguments) throws {
        let names = words.operands.first.map { [$0] } ?? TunnelMap.names()
        let reports = try names.map { try report($0) }
        if words.has("json") {
            Console.printPage(JSON.text(reports))
        } else if !reports.isEmpty {
            Console.print(Array(reports.map(lines).joined(separator: [""])))
        }
    }

    private static func report(_ name: String) throws -> Report {
        let map = try TunnelMap.open(name: name)
        let clocks = AgentStatus.read(name)?.clocks ?? [:]
        return Report(
            name: name, interfaces: map.attachedInterfaces(), decapsulating: map.decapsulatingInterfaces(),
            capacity: map.capacity,
            peers: map.peers().map {
                Report.Peer(
                    name: $0.name, healthy: $0.isHealthy, draining: $0.isDraining, probed: $0.isProbed,
                    prefixes: $0.entries, clockAhead: clocks[$0.name])
            },
            prefixes: map.states().map {
                Report.Entry(
                    prefix: $0.prefix.description, neverInTheClear: $0.neverInTheClear,
                    nexthops: $0.nexthops.map { NexthopReport($0) })
            },
            outcomes: Dictionary(uniqueKeysWithValues: map.outcomes().map { ("\($0.key)", $0.value) }))
    }

    private static func lines(_ report: Report) -> [String] {
        var lines = ["\(Console.bold("tunnel-map")): \(report.name)"]
        lines.append(
            "  attached to: \(report.interfaces.isEmpty ? "nothing" : report.interfaces.joined(separator: ", "))")
        if !report.decapsulating.isEmpty {
            lines.append("  decapsulating: \(report.decapsulating.joined(separator: ", "))")
        }
        lines.append("  prefixes: \(report.prefixes.count) of \(report.capacity)")
        for peer in report.peers {
            let condition = (peer.healthy ? "healthy" : "dead") + (peer.draining ? ", draining" : "")
            lines += ["", "\(Console.bold("peer")): \(peer.name)"]
            lines.append("  \(condition)\(peer.probed ? "" : ", not probed"), \(peer.prefixes) prefixes")
            if let ahead = peer.clockAhead, abs(ahead) >= 1 {
                lines.append("  its clock is \(Agent.words(forClock: ahead)) ours")
            }
        }
        for entry in report.prefixes {
            lines += [
                "", "\(Console.bold("prefix")): \(entry.prefix)\(entry.neverInTheClear ? ", never in the clear" : "")",
            ]
            lines += entry.nexthops.map { "  \($0.text)" }
        }
        let counted = ClassifierOutcome.allCases.compactMap { outcome in
            report.outcomes["\(outcome)"].flatMap {
                $0.packets > 0 ? "  \(outcome): \($0.packets) packets, \($0.bytes) bytes; \(outcome.explanation)" : nil
            }
        }
        if !counted.isEmpty { lines += ["", "\(Console.bold("packets")):"] + counted }
        return lines
    }
}
