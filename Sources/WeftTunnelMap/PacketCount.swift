// SPDX-License-Identifier: Apache-2.0
import CWeftTunnelMap
import Weft

/// Packets and bytes; of a superpacket each segment counts as a packet.
public struct PacketCount: Hashable, Codable, Sendable {
    public var packets: UInt64
    public var bytes: UInt64

    init(_ values: [weft_counter]) {
        packets = values.reduce(0) { $0 &+ $1.packets }
        bytes = values.reduce(0) { $0 &+ $1.bytes }
    }
}
