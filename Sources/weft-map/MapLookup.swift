// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftCommand
import WeftTunnelMap

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
