// SPDX-License-Identifier: Apache-2.0
import CWeftTunnelMap
import Weft

/// How packets get to a nexthop.
public enum NexthopProtocol: String, CaseIterable, Codable, Hashable, Sendable {
    /// A VXLAN device (RFC 7348) with `external`, which takes a tunnel key.
    case vxlan
    /// A Geneve device (RFC 8926) with `external`.
    case geneve
    /// An IPIP or IP6 tunnel device.
    case ipip
    case wireguard
    /// Any other device.
    case plain
    /// Geneve without a device: the classifier makes the outer headers and sends them out of an underlay interface.
    case geneveDirect = "geneve-direct"

    var number: UInt32 {
        switch self {
        case .vxlan: UInt32(WEFT_PROTOCOL_VXLAN)
        case .geneve: UInt32(WEFT_PROTOCOL_GENEVE)
        case .ipip: UInt32(WEFT_PROTOCOL_IPIP)
        case .wireguard: UInt32(WEFT_PROTOCOL_WIREGUARD)
        case .plain: UInt32(WEFT_PROTOCOL_PLAIN)
        case .geneveDirect: UInt32(WEFT_PROTOCOL_GENEVE_DIRECT)
        }
    }

    init?(number: UInt32) {
        guard let found = Self.allCases.first(where: { $0.number == number }) else { return nil }
        self = found
    }

    /// Whether its devices are told VNI and addresses packet by packet.
    public var takesKey: Bool { self == .vxlan || self == .geneve }

    /// Whether there is an Ethernet frame inside, whose MAC addresses are derived.
    var carriesFrames: Bool { takesKey || self == .geneveDirect }
}
