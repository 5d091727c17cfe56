// SPDX-License-Identifier: Apache-2.0

/// How a superpacket is cut: checked once, then followed for each segment.
struct SegmentPlan {
    let kind: Offload.Kind
    let family: IPAddress.Family
    /// Where the transport header begins.
    let transport: Int
    /// IP and transport headers together: what each segment repeats.
    let headerLength: Int
    /// Payload bytes in each segment but the last.
    let segmentSize: Int
    /// The payload's end: the packet's.
    let end: Int

    /// Room for the longest headers that a superpacket may have.
    typealias Headers = InlineArray<192, UInt8>
    static let longestHeader = 192

    var payloadCount: Int { end - headerLength }

    /// Segments that the superpacket makes: at least one.
    @inline(__always)
    var count: Int { (payloadCount + segmentSize - 1) / segmentSize }

    /// Bytes of inner packet in segment `index`.
    @inline(__always)
    func length(of index: Int) -> Int {
        headerLength + min(segmentSize, payloadCount - index * segmentSize)
    }

    /// Checks that an offload fits its packet, whose IP header was checked before. The header length is taken from the
    /// packet: what the kernel says of it is a hint.
    @inline(__always)
    init(_ packet: RawSpan, _ offload: Offload, _ inner: InnerPacket) throws(DropReason) {
        guard offload.needsChecksum, offload.segmentSize > 0,
            let (transport, proto) = TransportHeader.locate(in: packet, inner.family),
            transport == Int(offload.checksumStart)
        else { throw .offloadMalformed }
        switch offload.kind {
        case .tcp:
            guard proto == IPProtocol.tcp, Int(offload.checksumOffset) == TransportHeader.tcpChecksumOffset,
                packet.byteCount >= transport + TransportHeader.tcpMinimum
            else { throw .offloadMalformed }
            let length = Int(packet.load(at: transport + 12, as: UInt8.self) >> 4) * 4
            guard length >= TransportHeader.tcpMinimum else { throw .offloadMalformed }
            headerLength = transport + length
        case .udp:
            guard proto == IPProtocol.udp, Int(offload.checksumOffset) == TransportHeader.udpChecksumOffset else {
                throw .offloadMalformed
            }
            headerLength = transport + TransportHeader.udpLength
        case .none: throw .offloadMalformed
        }
        guard headerLength < packet.byteCount, headerLength <= Self.longestHeader else { throw .offloadMalformed }
        // The IP header must speak of the whole superpacket, or its segments' lengths would mean nothing.
        let total =
            inner.family == .v4
            ? Int(packet.load(at: 2, as: UInt16.self))
            : InnerPacket.v6HeaderLength + Int(packet.load(at: 4, as: UInt16.self))
        guard total == packet.byteCount else { throw .offloadMalformed }
        kind = offload.kind
        family = inner.family
        self.transport = transport
        segmentSize = Int(offload.segmentSize)
        end = packet.byteCount
    }
}
