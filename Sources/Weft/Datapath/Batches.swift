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
    /// The largest packet that a device of any MTU hands over.
    public static let largestPacket = 65_536

    public var arena: PacketArena
    public private(set) var packets: FixedArray<PacketRange>
    private var end = 0

    /// - Parameters:
    ///   - capacity: packets in a batch.
    ///   - room: bytes of the arena beyond the largest packet.
    public init(capacity: Int = 64, room: Int = 192 * 1024) {
        arena = PacketArena(capacity: room + Self.largestPacket)
        packets = FixedArray(capacity: capacity)
    }

    public mutating func removeAll() {
        packets.removeAll()
        end = 0
    }

    /// Whether another packet, the largest included, can be appended.
    public var hasRoom: Bool { !packets.isFull && arena.capacity - end >= Self.largestPacket }

    /// Lets `fill` write one packet where there is room for the largest, and appends as many bytes as it says it wrote.
    /// - Precondition: ``hasRoom``.
    @discardableResult
    public mutating func append<Failure: Error>(
        _ fill: (inout MutableRawSpan) throws(Failure) -> Int
    ) throws(Failure) -> Int {
        precondition(hasRoom)
        let count = try fillSpace(fill)
        precondition((0...Self.largestPacket).contains(count))
        packets.append(PacketRange(offset: end, count: count))
        // Packets begin on cache lines.
        end += (count + 63) & ~63
        return count
    }

    /// Takes back a packet that turned out to be none: the last one appended, of no bytes.
    public mutating func removeLast() { packets.removeLast() }

    private mutating func fillSpace<Failure: Error>(
        _ fill: (inout MutableRawSpan) throws(Failure) -> Int
    ) throws(Failure) -> Int {
        let start = end
        var all = arena.mutableBytes
        var space = all._mutatingExtracting(start..<start + Self.largestPacket)
        return try fill(&space)
    }
}

/// Datagrams that leave the data plane towards an underlay transport, one behind the other.
public struct ToUnderlay: ~Copyable {
    public struct Datagram: BitwiseCopyable, Sendable {
        public let place: PacketRange
        public let destination: Endpoint
        /// Whose counters a failure to send goes to.
        public let vni: UInt32
        /// The packet of the ``FromOverlay`` batch that it was sealed from; nil for a keep-alive.
        public let origin: Int?
    }

    public internal(set) var arena: PacketArena
    public internal(set) var datagrams: FixedArray<Datagram>
    var end = 0

    public init(capacity: Int = 64, room: Int = 192 * 1024) {
        arena = PacketArena(capacity: room + FromOverlay.largestPacket + capacity * (Geneve.overhead + 64))
        datagrams = FixedArray(capacity: capacity)
    }

    public mutating func removeAll() {
        datagrams.removeAll()
        end = 0
    }
}

/// Datagrams that enter the data plane from an underlay transport, each in a slot of its own.
///
/// Packets are opened where they lie; they are valid until the next batch is received.
public struct FromUnderlay: ~Copyable {
    public struct Datagram: BitwiseCopyable, Sendable {
        public let place: PacketRange
        /// From which address it came, as the network says; nothing is proven by it.
        public let source: Endpoint
        /// The transport saw that the datagram was longer than its slot.
        public let isTruncated: Bool

        public init(place: PacketRange, source: Endpoint, isTruncated: Bool = false) {
            self.place = place
            self.source = source
            self.isTruncated = isTruncated
        }
    }

    public var arena: PacketArena
    public let slotSize: Int
    public let capacity: Int
    public var datagrams: FixedArray<Datagram>

    /// - Parameters:
    ///   - capacity: datagrams in a batch.
    ///   - slotSize: the longest datagram that is taken whole.
    public init(capacity: Int = 64, slotSize: Int = 2048) {
        self.capacity = capacity
        self.slotSize = slotSize
        arena = PacketArena(capacity: capacity * slotSize)
        datagrams = FixedArray(capacity: capacity)
    }

    public mutating func removeAll() { datagrams.removeAll() }
}

/// Opened packets that leave the data plane towards an overlay transport. They lie in a ``FromUnderlay`` arena.
public struct ToOverlay: ~Copyable {
    public struct Packet: BitwiseCopyable, Sendable {
        public let place: PacketRange
        /// Whose counters a failure to write goes to.
        public let vni: UInt32
    }

    public internal(set) var packets: FixedArray<Packet>

    public init(capacity: Int = 64) { packets = FixedArray(capacity: capacity) }

    public mutating func removeAll() { packets.removeAll() }
}
