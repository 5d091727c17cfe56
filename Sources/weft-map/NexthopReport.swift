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
