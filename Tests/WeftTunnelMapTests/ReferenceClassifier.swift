// SPDX-License-Identifier: Apache-2.0
import Weft

@testable import WeftTunnelMap

/// What the classifier should do, as plainly as it can be said.
struct ReferenceClassifier {
    enum Result: Equatable {
        case pass(ClassifierOutcome)
        case drop(ClassifierOutcome)
        case nexthop(Nexthop, isProbe: Bool)
    }

    let entries: [TunnelMapEntry]
    let healthy: Set<String>
    let draining: Set<String>

    func classify(_ frame: [UInt8], probedPeer: String? = nil) -> Result {
        let ethertype = UInt16(frame[12]) << 8 | UInt16(frame[13])
        if ethertype == 0x8100 || ethertype == 0x88A8 { return .pass(.vlan) }
        guard ethertype == 0x0800 || ethertype == 0x86DD else { return .pass(.notIP) }
        let packet = Array(frame.dropFirst(14))
        guard let flow = ethertype == 0x0800 ? v4Flow(packet) : v6Flow(packet) else { return .drop(.malformed) }
        guard isRoutable(flow.destination) else { return .pass(.notUnicast) }
        let covering = entries.filter { $0.prefix.contains(flow.destination) }
        guard let entry = covering.max(by: { $0.prefix.length < $1.prefix.length }) else { return .pass(.noEntry) }
        let isProbe =
            probedPeer != nil
            && flow.ports.map { $0.protocol == 17 && ($0.source == 9997 || $0.destination == 9997) } ?? false
        if isProbe, let probedPeer {
            let own = entry.nexthops.filter { $0.peer == probedPeer }
            if let best = best(of: own, flow) { return .nexthop(best, isProbe: true) }
        }
        let eligible = isProbe ? entry.nexthops : entry.nexthops.filter { healthy.contains($0.peer) }
        let serving = isProbe ? eligible : eligible.filter { !draining.contains($0.peer) }
        guard let best = best(of: serving.isEmpty ? eligible : serving, flow) else {
            return entry.neverInTheClear ? .drop(.unhealthyDropped) : .pass(.unhealthyPassed)
        }
        return .nexthop(best, isProbe: isProbe)
    }

    private func best(of nexthops: [Nexthop], _ flow: Flow) -> Nexthop? {
        nexthops.min { left, right in
            let costs = (Choice.cost(of: flow.hash, left.seed), Choice.cost(of: flow.hash, right.seed))
            let scaled = (costs.0 * UInt64(right.weight), costs.1 * UInt64(left.weight))
            return scaled.0 == scaled.1 ? left.seed < right.seed : scaled.0 < scaled.1
        }
    }

    private func isRoutable(_ address: IPAddress) -> Bool {
        let bytes = address.bytes
        if address.family == .v4 { return bytes[0] < 224 }
        return bytes[0] != 0xFF && !(bytes[0] == 0xFE && bytes[1] & 0xC0 == 0x80)
    }

    private func ports(_ number: UInt8, _ bytes: ArraySlice<UInt8>) -> Flow.Ports? {
        let bytes = Array(bytes)
        guard [6, 17, 33, 132, 136].contains(number), bytes.count >= 4 else { return nil }
        return Flow.Ports(
            protocol: number, source: UInt16(bytes[0]) << 8 | UInt16(bytes[1]),
            destination: UInt16(bytes[2]) << 8 | UInt16(bytes[3]))
    }

    private func address(_ bytes: ArraySlice<UInt8>) -> IPAddress {
        let half = { (part: ArraySlice<UInt8>) in part.reduce(UInt64(0)) { $0 << 8 | UInt64($1) } }
        if bytes.count == 4 { return IPAddress(v4: UInt32(half(bytes))) }
        return IPAddress(v6: half(bytes.prefix(8)), half(bytes.suffix(8)))
    }

    private func v4Flow(_ packet: [UInt8]) -> Flow? {
        guard packet.count >= 20, packet[0] >> 4 == 4 else { return nil }
        let header = Int(packet[0] & 15) * 4
        let stated = Int(packet[2]) << 8 | Int(packet[3])
        guard header >= 20, packet.count >= header, stated == 0 || stated >= header else { return nil }
        let whole = packet.prefix(stated == 0 ? packet.count : stated)
        var flow = Flow(source: address(packet[12..<16]), destination: address(packet[16..<20]))
        let isFragment = packet[6] & 0x3F != 0 || packet[7] != 0
        if !isFragment { flow.ports = ports(packet[9], whole.dropFirst(header)) }
        return flow
    }

    private func v6Flow(_ packet: [UInt8]) -> Flow? {
        guard packet.count >= 40, packet[0] >> 4 == 6 else { return nil }
        let stated = Int(packet[4]) << 8 | Int(packet[5])
        var flow = Flow(source: address(packet[8..<24]), destination: address(packet[24..<40]))
        var rest = packet.prefix(stated == 0 ? packet.count : 40 + stated).dropFirst(40)
        var kind = packet[6]
        for _ in 0..<8 where [0, 43, 44, 51, 60].contains(kind) {
            let header = Array(rest.prefix(8))
            guard header.count == 8 else { return flow }
            let length: Int
            switch kind {
            case 44:
                if header[2] != 0 || header[3] & 0xF9 != 0 { return flow }
                length = 8
            case 51: length = (Int(header[1]) + 2) * 4
            default: length = (Int(header[1]) + 1) * 8
            }
            kind = header[0]
            rest = rest.dropFirst(length)
        }
        flow.ports = ports(kind, rest)
        return flow
    }
}
