// SPDX-License-Identifier: Apache-2.0

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
