// SPDX-License-Identifier: Apache-2.0

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
