// SPDX-License-Identifier: Apache-2.0

/// Datagrams that leave the data plane towards an underlay transport, one behind the other.
///
/// Those that follow one another to one endpoint in equal sizes, with one traffic class, are one run, which the kernel can be given in one piece
/// (UDP_SEGMENT).
public struct ToUnderlay: ~Copyable, Sendable {
    public struct Run: BitwiseCopyable, Sendable {
        public internal(set) var place: PacketRange
        /// Bytes of each datagram but the last, which may be shorter.
        public let segmentSize: Int
        public let destination: Endpoint
        /// Which of our addresses it leaves from; nil for the kernel's choice.
        public let local: IPAddress?
        /// The outer headers' traffic class: DSCP and ECN.
        public let trafficClass: UInt8
        /// Whether it may go in fragments where it is too long for the device.
        public let mayFragment: Bool
        /// The longest inner packet that goes whole to the destination.
        public let longestPacket: Int
        /// Whose counters a failure to send goes to.
        public let network: NetworkID
        /// The packet of the ``FromOverlay`` batch that the first was sealed from; nil for a keep-alive.
        public let origin: Int?
        /// Which of the transport's source ports it leaves from.
        public let source: Int

        /// Whether its datagrams are too long for the way to the destination.
        public var isTooLong: Bool { segmentSize - Geneve.overhead > longestPacket }

        /// Datagrams in the run.
        public var count: Int { (place.count + segmentSize - 1) / segmentSize }
    }

    /// Datagrams that the kernel takes at once: fewer than its limit of 64 or, since Linux 6.9, 128.
    public static let longestRun = 64
    /// Bytes that the kernel takes at once: an IP datagram's worth, less an IPv6 and a UDP header.
    public static let largestRun = 65_535 - 40 - 8

    public internal(set) var arena: PacketArena
    public internal(set) var runs: FixedArray<Run>
    /// How many source ports flows are spread over.
    let sourcePorts: Int
    /// Bytes of the arena that are taken, or promised to packets that will be sealed.
    var reserved = 0

    /// - Parameters:
    ///   - capacity: runs in a batch.
    ///   - room: bytes of the arena beyond the largest packet's.
    ///   - sourcePorts: how many the transport spreads flows over.
    public init(capacity: Int = 256, room: Int = 256 * 1024, sourcePorts: Int = 1) {
        self.sourcePorts = max(sourcePorts, 1)
        arena = PacketArena(capacity: room + 2 * FromOverlay.largestPacket)
        runs = FixedArray(capacity: capacity)
    }

    public mutating func removeAll() {
        runs.removeAll()
        reserved = 0
    }
}
