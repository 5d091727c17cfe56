// SPDX-License-Identifier: Apache-2.0

/// Makes complete packets of a superpacket, for a transport that can't write it in one piece. It copies what it is given:
/// this is the way round a missing offload, not the way that traffic should take.
public struct SuperpacketCutter: ~Copyable, Sendable {
    private var scratch = PacketArena(capacity: FromOverlay.largestPacket)
    private var count = 0

    public init() {}

    public mutating func removeAll() { count = 0 }

    /// Appends a piece: headers first, then payloads. False, and nothing is appended, beyond the largest packet.
    public mutating func append(_ piece: RawSpan) -> Bool {
        let end = count
        guard piece.byteCount <= scratch.capacity - end else { return false }
        var bytes = scratch.mutableBytes
        bytes.copy(piece, to: end)
        count += piece.byteCount
        return true
    }

    /// Takes a group in place of what it had.
    public mutating func take(
        _ group: ToOverlay.Group, of packets: borrowing ToOverlay, in arena: borrowing PacketArena
    ) {
        removeAll()
        var next: Int? = group.first
        while let index = next {
            let packet = packets.packets[index]
            // A group is never longer than the largest packet.
            _ = append(arena.bytes.extracting(packet.place.range))
            next = packet.next
        }
    }

    /// Calls `body` with each packet in order, complete with its checksums, and forgets them. False, without a call,
    /// when the offload contradicts the packet.
    public mutating func cut(_ offload: Offload, _ body: (RawSpan) -> Void) -> Bool {
        defer { removeAll() }
        do throws(DropReason) {
            if offload.kind != .none {
                try cutSegments(offload, body)
            } else {
                if offload.needsChecksum { try finishChecksum(offload) }
                body(scratch.bytes.extracting(0..<count))
            }
            return true
        } catch {
            return false
        }
    }

    private mutating func cutSegments(_ offload: Offload, _ body: (RawSpan) -> Void) throws(DropReason) {
        let segmenter = try segmenter(offload)
        for index in 0..<segmenter.plan.count {
            var bytes = scratch.mutableBytes
            let place = segmenter.cut(index, in: &bytes)
            body(bytes.bytes.extracting(place.range))
        }
    }

    private func segmenter(_ offload: Offload) throws(DropReason) -> Segmenter {
        let packet = scratch.bytes.extracting(0..<count)
        guard let inner = InnerPacket(packet), inner.lengthsAreConsistent(in: packet) else { throw .offloadMalformed }
        return Segmenter(try SegmentPlan(packet, offload, inner), inner, in: scratch.bytes, at: 0)
    }

    private mutating func finishChecksum(_ offload: Offload) throws(DropReason) {
        let count = count
        var bytes = scratch.mutableBytes
        var packet = bytes._mutatingExtracting(0..<count)
        try Segmenter.finishChecksum(offload, of: &packet)
    }
}
