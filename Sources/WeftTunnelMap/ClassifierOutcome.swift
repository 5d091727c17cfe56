// SPDX-License-Identifier: Apache-2.0
import CWeftTunnelMap
import Weft

/// What became of a packet at the classifier. Each packet is counted under exactly one.
public enum ClassifierOutcome: UInt32, CaseIterable, Sendable {
    case forwarded, probe, noEntry, unhealthyPassed, unhealthyDropped, notIP, vlan, notUnicast, malformed, encapsulated
    case failed, decapsulated, decapsulationRefused, decapsulationFailed
    case tooLong, sourceRefused

    /// What it means, for people.
    public var explanation: String {
        switch self {
        case .forwarded: "sent to a nexthop"
        case .tooLong: "too long for the underlay: its sender was told by ICMP"
        case .sourceRefused: "Geneve from a peer that nothing for the inner source would go to: dropped"
        case .probe: "a health probe or its answer, sent to a nexthop whatever its health"
        case .noEntry: "no prefix covers the destination: left to the kernel"
        case .unhealthyPassed: "no nexthop is healthy: left to the kernel's routing"
        case .unhealthyDropped: "no nexthop is healthy, and the prefix never leaves in the clear: dropped"
        case .notIP: "neither IPv4 nor IPv6: left to the kernel"
        case .vlan: "a VLAN's frame: left to the kernel"
        case .notUnicast: "multicast or link-local: left to the kernel"
        case .malformed: "the IP header is wrong or cut off: dropped"
        case .encapsulated: "has been encapsulated already: left to the kernel"
        case .failed: "the kernel would not encapsulate it: dropped"
        case .decapsulated: "Geneve without a device, given to the overlay's interface"
        case .decapsulationRefused: "Geneve from a peer with something else inside, or congested: dropped"
        case .decapsulationFailed: "the kernel would not decapsulate it: dropped"
        }
    }
}
