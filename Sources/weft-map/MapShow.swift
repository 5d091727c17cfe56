// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftCommand
import WeftTunnelMap

/// What `show` and `lookup` say of a nexthop.
struct NexthopReport: Codable {
    let peer: String
    let remote: String?
    let local: String?
    let vni: UInt32
    let interface: String
    let `protocol`: String
    let weight: Int
    let healthy: Bool
    let draining: Bool
    let packets: UInt64
    let bytes: UInt64

    init(_ state: TunnelMap.NexthopState) {
        peer = state.nexthop.peer
        remote = state.nexthop.remote?.description
        local = state.nexthop.local?.description
        vni = state.nexthop.vni
        interface = state.nexthop.interface
        `protocol` = state.nexthop.protocol.rawValue
        weight = state.nexthop.weight
        healthy = state.isHealthy
        draining = state.isDraining
        packets = state.count.packets
        bytes = state.count.bytes
    }

    var text: String {
        let to = remote.map { " \($0)" } ?? ""
        let condition = (healthy ? "healthy" : "dead") + (draining ? ", draining" : "")
        return
            "\(peer): \(`protocol`)\(to) by \(interface), VNI \(vni), weight \(weight), \(condition), \(packets) packets"
    }
}

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

/// `weft-map lookup`: which entry and which nexthop a packet gets, and why.
enum MapLookup {
    private struct Report: Codable {
        let prefix: String?
        let neverInTheClear: Bool?
        let nexthops: [NexthopReport]
        /// The peer whose nexthop has the flow; nil where there is no flow or nobody is healthy.
        let chosen: String?
        let why: String
    }

    static func run(_ words: Arguments) throws {
        let operands = words.operands
        guard let address = IPAddress(operands[0]) else {
            throw CommandFailure(.usage, "\"\(operands[0])\" is no IP address")
        }
        let flow = try flow(to: address, operands)
        let map = try TunnelMap.open(name: words.mapName)
        let entry = map.lookUp(address)
        let (chosen, why) = explain(entry, flow)
        if words.has("json") {
            Console.printPage(
                JSON.text(
                    Report(
                        prefix: entry?.prefix.description, neverInTheClear: entry?.neverInTheClear,
                        nexthops: entry?.nexthops.map { NexthopReport($0) } ?? [], chosen: chosen?.nexthop.peer,
                        why: why)))
        } else {
            var lines = [entry.map { "\(address) is in \($0.prefix)" } ?? "\(address) is in no prefix"]
            for state in entry?.nexthops ?? [] {
                lines.append("\(state == chosen ? "* " : "  ")\(NexthopReport(state).text)")
            }
            Console.print(lines + [why])
        }
        if entry == nil { throw CommandFailure(.failed, "") }
    }

    private static func flow(to address: IPAddress, _ operands: [String]) throws(CommandFailure) -> Flow? {
        guard operands.count > 1 else { return nil }
        guard let source = IPAddress(operands[1]), source.family == address.family else {
            throw CommandFailure(.usage, "\"\(operands[1])\" is no IP address of the same family as \(address)")
        }
        guard operands.count == 5 else { return Flow(source: source, destination: address) }
        let numbers: [String: UInt8] = ["tcp": 6, "udp": 17, "dccp": 33, "sctp": 132, "udplite": 136]
        guard let number = numbers[operands[2].lowercased()], let from = UInt16(operands[3]),
            let to = UInt16(operands[4])
        else {
            throw CommandFailure(
                .usage,
                "expected tcp, udp, sctp, dccp or udplite and two ports, found \(operands[2...].joined(separator: " "))"
            )
        }
        return Flow(
            source: source, destination: address, ports: Flow.Ports(protocol: number, source: from, destination: to))
    }

    private static func explain(
        _ entry: TunnelMap.EntryState?, _ flow: Flow?
    ) -> (TunnelMap.NexthopState?, String) {
        guard let entry else { return (nil, "no prefix covers it: it is left to the kernel") }
        let healthy = entry.nexthops.filter(\.isHealthy)
        guard !healthy.isEmpty else {
            return (
                nil,
                entry.neverInTheClear
                    ? "no nexthop is healthy: it is dropped"
                    : "no nexthop is healthy: it is left to the kernel's routing"
            )
        }
        let serving = healthy.filter { !$0.isDraining }
        let pool = serving.isEmpty ? healthy : serving
        var why =
            "\(pool.count) of \(entry.nexthops.count) \(entry.nexthops.count == 1 ? "nexthop is" : "nexthops are") healthy"
        if serving.isEmpty {
            why += ", all of them draining"
        } else if serving.count < healthy.count {
            why += " and not draining"
        }
        guard let flow else {
            if pool.count == 1 { return (pool[0], "\(why): it has every flow") }
            return (nil, "\(why): which one depends on the flow (source, protocol and ports)")
        }
        guard let chosen = TunnelMap.choose(flow, in: entry) else { return (nil, why) }
        let total = pool.reduce(0) { $0 + $1.nexthop.weight }
        return (
            chosen,
            "\(why); of these the flow's highest draw is \(chosen.nexthop.peer)'s, whose share is \(chosen.nexthop.weight) of \(total)"
        )
    }
}
