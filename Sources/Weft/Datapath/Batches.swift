// SPDX-License-Identifier: Apache-2.0

// What crosses the seams between the data plane and its transports. A packet's direction is in its batch's type.
// Every batch is made once, by the thread that fills it, and used again and again.

/// Where a packet stands in an arena.
public struct PacketRange: BitwiseCopyable, Sendable {
    public var offset: Int
    public var count: Int

    @inlinable
    public init(offset: Int, count: Int) {
        self.offset = offset
        self.count = count
    }

    @inlinable
    public var range: Range<Int> { offset..<offset + count }
}

/// Packets that enter the data plane from an overlay transport: it appends them one behind the other.
///
/// They are the transport's to write until it returns the batch, then the data plane's until the next one is received.
public struct FromOverlay: ~Copyable {
    /// The largest packet, or superpacket, that a device of any MTU hands over.
    public static let largestPacket = 65_536

    public struct Packet: BitwiseCopyable, Sendable {
        public let place: PacketRange
        /// What is left to do with it.
        public let offload: Offload
    }

    public internal(set) var arena: PacketArena
    public private(set) var packets: FixedArray<Packet>
    private var end = 0

    /// - Parameters:
    ///   - capacity: packets in a batch.
    ///   - room: bytes of the arena beyond the largest packet. Two superpackets stay in a core's cache until they are
    ///     sent; more leave it.
    public init(capacity: Int = 64, room: Int = 64 * 1024) {
        arena = PacketArena(capacity: room + Self.largestPacket)
        packets = FixedArray(capacity: capacity)
    }

    public mutating func removeAll() {
        packets.removeAll()
        end = 0
    }

    /// Whether another packet, the largest included, can be appended.
    public var hasRoom: Bool { !packets.isFull && arena.capacity - end >= Self.largestPacket }

    /// Lets `fill` write one packet where there is room for the largest, and appends as many bytes as it says it wrote;
    /// nothing for 0 bytes.
    /// - Precondition: ``hasRoom``.
    public mutating func append<Failure: Error>(
        _ fill: (inout MutableRawSpan) throws(Failure) -> (count: Int, offload: Offload)
    ) throws(Failure) {
        precondition(hasRoom)
        let (count, offload) = try fillSpace(fill)
        precondition((0...Self.largestPacket).contains(count))
        guard count > 0 else { return }
        packets.append(Packet(place: PacketRange(offset: end, count: count), offload: offload))
        // Packets begin on cache lines.
        end += (count + 63) & ~63
    }

    /// Appends a complete packet: `fill` says how many bytes it wrote.
    public mutating func append<Failure: Error>(
        _ fill: (inout MutableRawSpan) throws(Failure) -> Int
    ) throws(Failure) {
        try append { (space: inout MutableRawSpan) throws(Failure) in (count: try fill(&space), offload: .none) }
    }

    private mutating func fillSpace<Failure: Error>(
        _ fill: (inout MutableRawSpan) throws(Failure) -> (count: Int, offload: Offload)
    ) throws(Failure) -> (count: Int, offload: Offload) {
        let start = end
        var all = arena.mutableBytes
        var space = all._mutatingExtracting(start..<start + Self.largestPacket)
        return try fill(&space)
    }
}

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

/// Datagrams that enter the data plane from an underlay transport, each buffer of them in a slot of its own.
///
/// The kernel merges datagrams of one size and source into a buffer (UDP_GRO). Packets are opened where they lie; they
/// are valid until the next batch is received.
public struct FromUnderlay: ~Copyable {
    public struct Buffer: BitwiseCopyable, Sendable {
        public let place: PacketRange
        /// Bytes of each datagram but the last, which may be shorter; at least 1.
        public let segmentSize: Int
        /// From which address they came, as the network says; nothing is proven by it.
        public let source: Endpoint
        /// To which of our addresses they came; nil where the transport doesn't know.
        public let local: IPAddress?
        /// The traffic class of their IP headers, which anybody on the way may change; 0 where the transport doesn't know.
        public let trafficClass: UInt8
        /// The transport saw that the buffer was longer than its slot.
        public let isTruncated: Bool

        /// - Parameter segmentSize: nil for a single datagram.
        public init(
            place: PacketRange, segmentSize: Int? = nil, source: Endpoint, local: IPAddress? = nil,
            trafficClass: UInt8 = 0, isTruncated: Bool = false
        ) {
            self.place = place
            self.segmentSize = max(segmentSize ?? place.count, 1)
            self.source = source
            self.local = local
            self.trafficClass = trafficClass
            self.isTruncated = isTruncated
        }
    }

    public var arena: PacketArena
    public let slotSize: Int
    public let capacity: Int
    public var buffers: FixedArray<Buffer>

    /// - Parameters:
    ///   - capacity: buffers in a batch.
    ///   - slotSize: the longest buffer that is taken whole.
    ///
    /// A few buffers stay in a core's cache until they are opened and written; many leave it.
    public init(capacity: Int = 4, slotSize: Int = 65_536) {
        self.capacity = capacity
        self.slotSize = slotSize
        arena = PacketArena(capacity: capacity * slotSize)
        buffers = FixedArray(capacity: max(capacity, Self.leastParts))
    }

    /// Where datagrams of other kinds stand between data, a buffer becomes several.
    static let leastParts = 64

    public mutating func removeAll() { buffers.removeAll() }
}

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
