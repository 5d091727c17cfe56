// SPDX-License-Identifier: Apache-2.0

/// What becomes of a packet of a batch: into how many datagrams it is cut, and where they go.
struct SealPlan: BitwiseCopyable {
    /// The network's slot in the lane's snapshot.
    let slot: Int
    /// Which packet of the batch it is.
    let origin: Int
    /// Where the IP packet stands in the batch.
    let packet: PacketRange
    let protocolType: UInt16
    /// Whether it is a superpacket, which is cut; else it makes one datagram.
    var isCut = false
    /// Datagrams that it makes.
    var segments = 1
    /// Bytes of inner packet in each segment but the last.
    var segmentLength: Int
    /// Bytes of inner packet in all segments.
    var length: Int
    /// Which of the transport's source ports its flow leaves from.
    var source = 0
    /// The inner packet's.
    var trafficClass: UInt8 = 0

    // Set once counters are reserved.

    /// Segments that got a counter and room, from the first on.
    var granted = 0
    /// The first segment's counter.
    var counter: UInt64 = 0
    /// Where the first datagram goes.
    var output = 0

    init(_ lookup: RouteLookup, packet: PacketRange, protocolType: UInt16) {
        slot = Int(lookup.slot)
        origin = Int(lookup.origin)
        self.packet = packet
        self.protocolType = protocolType
        segmentLength = packet.count
        length = packet.count
    }

    mutating func cut(by plan: SegmentPlan) {
        isCut = true
        segments = plan.count
        segmentLength = plan.headerLength + plan.segmentSize
        length = plan.payloadCount + segments * plan.headerLength
    }

    /// Bytes of all datagrams up to `count` segments.
    @inline(__always)
    func sealedLength(segments count: Int) -> Int {
        count == segments ? length + count * Geneve.overhead : count * (segmentLength + Geneve.overhead)
    }
}
