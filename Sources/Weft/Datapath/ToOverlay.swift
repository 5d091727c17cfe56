// SPDX-License-Identifier: Apache-2.0

/// Opened packets that leave the data plane towards an overlay transport. They lie in a ``FromUnderlay`` arena.
///
/// Packets of one flow that follow one another are one group, which a transport may write as one superpacket.
public struct ToOverlay: ~Copyable {
    /// An opened packet. In a group's second packet and those behind it only the payload is meant.
    public struct Packet: BitwiseCopyable, Sendable {
        public internal(set) var place: PacketRange
        /// Whose counters a failure to write goes to.
        public let network: NetworkID
        /// The group's next packet.
        public internal(set) var next: Int?
    }

    /// Packets that are written in one piece.
    public struct Group: BitwiseCopyable, Sendable {
        /// The first packet, with its headers: for a group of several they speak of the whole superpacket, and the
        /// transport checksum covers the pseudo-header only.
        public let first: Int
        public internal(set) var count: Int
        /// The first packet's headers, and how a superpacket is cut again.
        public internal(set) var headerLength: Int
        public internal(set) var offload: Offload
        var last: Int
        /// Bytes of packet: one IP header and transport header, and all payloads.
        var length: Int
        /// Whether another segment may still follow.
        var isOpen: Bool
        /// FIN and PSH of the segments behind the first.
        var flags: UInt8 = 0
    }

    public internal(set) var packets: FixedArray<Packet>
    public internal(set) var groups: FixedArray<Group>

    /// - Parameter capacity: packets in a batch.
    public init(capacity: Int = 2048) {
        packets = FixedArray(capacity: capacity)
        groups = FixedArray(capacity: capacity)
    }

    public mutating func removeAll() {
        packets.removeAll()
        groups.removeAll()
    }
}
