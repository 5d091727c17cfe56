// SPDX-License-Identifier: Apache-2.0

/// Cuts a superpacket into segments where it lies.
///
/// Each segment's headers are written over the tail of the segment before it, which has been sealed by then: every
/// segment so stands in one piece in front of its payload, and no payload byte is copied.
struct Segmenter {
    let plan: SegmentPlan
    /// Where the superpacket stands in its buffer.
    private let start: Int
    /// The superpacket's headers, since the first segment overwrites nothing but the second overwrites the first.
    private var template = SegmentPlan.Headers(repeating: 0)
    private let identification: UInt16
    private let sequence: UInt32
    private let flags: UInt8
    /// The pseudo-header's sum without its length.
    private let pseudo: UInt64

    init(_ plan: SegmentPlan, _ inner: InnerPacket, in buffer: RawSpan, at start: Int) {
        self.plan = plan
        self.start = start
        let packet = buffer.extracting(start..<start + plan.headerLength)
        for index in 0..<plan.headerLength { template[index] = packet.load(at: index) }
        let isTCP = plan.kind == .tcp
        identification = plan.family == .v4 ? packet.load(at: 4) : 0
        sequence = isTCP ? packet.load(at: plan.transport + 4) : 0
        flags = isTCP ? packet.load(at: plan.transport + 13) : 0
        if plan.family == .v6, plan.transport > InnerPacket.v6HeaderLength {
            // A routing header may hold the final destination (RFC 8200 section 8.1); who made the superpacket knew
            // it, and left the pseudo-header's sum in the checksum field. Its length is taken out of it again.
            let field = isTCP ? TransportHeader.tcpChecksumOffset : TransportHeader.udpChecksumOffset
            let whole: UInt16 = packet.load(at: plan.transport + field)
            pseudo = UInt64(whole) + UInt64(Checksum.finish(UInt64(plan.end - plan.transport)))
        } else {
            pseudo = Checksum.pseudoHeader(
                inner.source, inner.destination, length: 0, proto: isTCP ? IPProtocol.tcp : IPProtocol.udp)
        }
    }

    /// Makes segment `index` a packet of its own and says where it stands. Segments are cut in order.
    @inline(__always)
    @discardableResult
    func cut(_ index: Int, in buffer: inout MutableRawSpan) -> PacketRange {
        let length = plan.length(of: index)
        let place = PacketRange(offset: start + index * plan.segmentSize, count: length)
        var packet = buffer._mutatingExtracting(place.range)
        let header = unsafe template.span.bytes.extracting(0..<plan.headerLength)
        packet.copy(header, to: 0)
        switch plan.family {
        case .v4:
            packet.store(UInt16(truncatingIfNeeded: length), at: 2)
            packet.store(identification &+ UInt16(truncatingIfNeeded: index), at: 4)
            packet.store(0 as UInt16, at: 10)
            let ipLength = Int(packet.bytes.load(at: 0, as: UInt8.self) & 0x0F) * 4
            packet.store(Checksum.finish(Checksum.sum(packet.bytes.extracting(0..<ipLength))), at: 10)
        case .v6:
            packet.store(UInt16(truncatingIfNeeded: length - InnerPacket.v6HeaderLength), at: 4)
        }
        let transport = plan.transport
        let transportLength = length - transport
        let field: Int
        switch plan.kind {
        case .tcp:
            field = transport + TransportHeader.tcpChecksumOffset
            packet.store(sequence &+ UInt32(truncatingIfNeeded: index * plan.segmentSize), at: transport + 4)
            var kept = flags
            if index > 0 { kept &= ~TransportHeader.TCPFlag.cwr }
            if index + 1 < plan.count { kept &= ~(TransportHeader.TCPFlag.fin | TransportHeader.TCPFlag.psh) }
            packet.store(kept, at: transport + 13)
        case .udp, .none:
            field = transport + TransportHeader.udpChecksumOffset
            packet.store(UInt16(truncatingIfNeeded: transportLength), at: transport + 4)
        }
        packet.store(0 as UInt16, at: field)
        let sum = Checksum.sum(packet.bytes.extracting(transport..<length), from: pseudo &+ UInt64(transportLength))
        let checksum = Checksum.finish(sum)
        // 0 means "none" to UDP (RFC 768).
        packet.store(plan.kind == .udp && checksum == 0 ? 0xFFFF : checksum, at: field)
        return place
    }

    /// Finishes the checksum of a packet that is not cut: its field holds the pseudo-header's sum.
    static func finishChecksum(_ offload: Offload, of packet: inout MutableRawSpan) throws(DropReason) {
        let start = Int(offload.checksumStart)
        let field = start + Int(offload.checksumOffset)
        // Not necessarily the first transport header: a tunnel's inner checksum may be the unfinished one.
        guard let first: UInt8 = packet.byteCount > 0 ? packet.bytes.load(at: 0) : nil,
            start >= (first >> 4 == 4 ? Int(first & 0x0F) * 4 : InnerPacket.v6HeaderLength),
            field + 2 <= packet.byteCount
        else { throw .offloadMalformed }
        let checksum = Checksum.finish(Checksum.sum(packet.bytes.extracting(start..<packet.byteCount)))
        let isUDP = Int(offload.checksumOffset) == TransportHeader.udpChecksumOffset
        packet.store(isUDP && checksum == 0 ? 0xFFFF : checksum, at: field)
    }
}
