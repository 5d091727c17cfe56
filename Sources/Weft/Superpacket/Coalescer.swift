// SPDX-License-Identifier: Apache-2.0

/// Joins opened packets of one flow that follow one another, as the kernel's GRO would: TCP segments and UDP datagrams,
/// many flows interleaved, each flow in its order.
///
/// A packet is only ever joined to its flow's latest group; whatever can't join begins a new one behind it.
struct Coalescer: ~Copyable {
    private static let slots = 256
    /// Segments in a group: what a write's vector holds.
    static let longestGroup = 64
    private static let largestGroup = 65_535

    /// The latest group of each flow, by the flow's hash; another flow of the same hash displaces it.
    private var latest: FixedArray<Int32>
    /// Groups before this one may not grow any more: a packet came that may belong to any of their flows.
    private var barrier = 0

    init() {
        latest = FixedArray([Int32](repeating: -1, count: Self.slots))
    }

    /// Forgets the last batch's groups.
    mutating func reset() {
        for slot in 0..<Self.slots { latest[slot] = -1 }
        barrier = 0
    }

    /// Takes the batch's newest packet into a group.
    @inline(__always)
    mutating func add(_ index: Int, of batch: inout ToOverlay, in bytes: RawSpan) {
        let place = batch.packets[index].place
        let packet = bytes.extracting(place.range)
        guard let segment = Segment(packet) else {
            close(Segment.overtakable(by: packet), before: batch.groups.count)
            begin(index, of: &batch, length: place.count, segment: nil)
            return
        }
        let slot = segment.hash & (Self.slots - 1)
        let candidate = Int(latest[slot])
        if candidate >= barrier, join(index, segment, to: candidate, of: &batch, in: bytes) { return }
        latest[slot] = Int32(truncatingIfNeeded: batch.groups.count)
        begin(index, of: &batch, length: place.count, segment: segment)
    }

    /// Lets no group of the flows grow: what joined one would overtake the packet that stands alone behind it.
    private mutating func close(_ flows: Segment.Flows, before next: Int) {
        switch flows {
        case .none: break
        case .one(let hash): latest[hash & (Self.slots - 1)] = -1
        case .any: barrier = next
        }
    }

    private func begin(_ index: Int, of batch: inout ToOverlay, length: Int, segment: Segment?) {
        batch.groups.append(
            ToOverlay.Group(
                first: index, count: 1, headerLength: segment?.headerLength ?? 0, offload: .none, last: index,
                length: length, isOpen: segment?.mayBeFollowed ?? false))
    }

    @inline(__always)
    private func join(
        _ index: Int, _ segment: Segment, to candidate: Int, of batch: inout ToOverlay, in bytes: RawSpan
    ) -> Bool {
        var group = batch.groups[candidate]
        let firstPlace = batch.packets[group.first].place
        let first = bytes.extracting(firstPlace.offset..<firstPlace.offset + group.headerLength)
        let place = batch.packets[index].place
        let packet = bytes.extracting(place.range)
        let payload = place.count - segment.headerLength
        // While a group has one packet its size is that packet's payload.
        let size = group.count == 1 ? group.length - group.headerLength : Int(group.offload.segmentSize)
        guard group.isOpen, group.count < Self.longestGroup, payload <= size,
            group.length + payload <= Self.largestGroup, group.headerLength == segment.headerLength,
            segment.follows(first, of: packet, after: group.length - group.headerLength, segments: group.count),
            segment.checksumsAreRight(in: packet)
        else { return false }
        if group.count == 1 {
            // The first packet's own checksums are looked at once something joins it.
            let whole = bytes.extracting(firstPlace.range)
            guard let leading = Segment(whole), leading.checksumsAreRight(in: whole) else { return false }
            group.offload = Offload(
                kind: segment.kind, segmentSize: UInt16(truncatingIfNeeded: size), needsChecksum: true,
                checksumStart: UInt16(truncatingIfNeeded: segment.transport),
                checksumOffset: UInt16(truncatingIfNeeded: segment.checksumOffset))
        }
        batch.packets[index].place = PacketRange(offset: place.offset + segment.headerLength, count: payload)
        batch.packets[group.last].next = index
        group.last = index
        group.count += 1
        group.length += payload
        group.isOpen = segment.mayBeFollowed && payload == size
        if segment.flags != 0 { group.flags |= segment.flags }
        batch.groups[candidate] = group
        return true
    }

    /// Rewrites the headers of groups of several, so that they speak of the whole superpacket.
    func finish(_ batch: borrowing ToOverlay, in bytes: inout MutableRawSpan) {
        for index in 0..<batch.groups.count where batch.groups[index].count > 1 {
            let group = batch.groups[index]
            let start = batch.packets[group.first].place.offset
            var header = bytes._mutatingExtracting(start..<start + group.headerLength)
            guard let inner = InnerPacket(header.bytes) else { continue }
            let transport = Int(group.offload.checksumStart)
            switch inner.family {
            case .v4:
                header.store(UInt16(truncatingIfNeeded: group.length), at: 2)
                header.store(0 as UInt16, at: 10)
                header.store(Checksum.finish(Checksum.sum(header.bytes.extracting(0..<transport))), at: 10)
            case .v6:
                header.store(UInt16(truncatingIfNeeded: group.length - InnerPacket.v6HeaderLength), at: 4)
            }
            let length = group.length - transport
            let proto: UInt8
            if group.offload.kind == .tcp {
                proto = IPProtocol.tcp
                let flags: UInt8 = header.bytes.load(at: transport + 13)
                header.store(flags | group.flags, at: transport + 13)
            } else {
                proto = IPProtocol.udp
                header.store(UInt16(truncatingIfNeeded: length), at: transport + 4)
            }
            // The kernel finishes it: what stands here is the pseudo-header's sum, not complemented.
            let sum = Checksum.pseudoHeader(inner.source, inner.destination, length: length, proto: proto)
            header.store(Checksum.fold(sum), at: transport + Int(group.offload.checksumOffset))
        }
    }
}
