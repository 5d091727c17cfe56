// SPDX-License-Identifier: Apache-2.0

// The transforms for IP packets a batch at a time: nothing allocated, one reservation of counters and one hold of a
// replay window for each run of packets that share an SA. Layer 2 frames go through the transforms in place, since their
// driver moves each by its descriptor.

extension Lane {
    /// Seals a batch of packets into datagrams, in order. Superpackets are cut as they are sealed, where they lie.
    public mutating func encapsulate(
        _ batch: inout FromOverlay, into datagrams: inout ToUnderlay, at now: Instant
    ) {
        classified.removeAll()
        for origin in 0..<batch.packets.count {
            do throws(DropReason) {
                var plan = try plan(origin, of: &batch)
                if datagrams.sourcePorts > 1 {
                    let hash = flowHash.hash(batch.arena.bytes.extracting(plan.packet.range))
                    plan.source = Int(hash) % datagrams.sourcePorts
                }
                if classified.isFull { sealClassified(of: &batch, into: &datagrams, at: now) }
                classified.append(plan)
            } catch {
                count(error, nil)
            }
        }
        sealClassified(of: &batch, into: &datagrams, at: now)
    }

    /// Finds a packet's network and how many datagrams it makes, and finishes its checksum if it stays whole.
    @inline(__always)
    private func plan(_ origin: Int, of batch: inout FromOverlay) throws(DropReason) -> Classified {
        let packet = batch.packets[origin]
        guard case .forward(var plan) = try classify(batch.arena.bytes.extracting(packet.place.range)) else {
            throw .overlayNotIP
        }
        plan.packet.offset += packet.place.offset
        plan.origin = origin
        if packet.offload.kind != .none {
            let bytes = batch.arena.bytes.extracting(plan.packet.range)
            guard let inner = InnerPacket(bytes) else { throw .overlayMalformed }
            plan.segments = try SegmentPlan(bytes, packet.offload, inner).count
        } else if packet.offload.needsChecksum {
            var bytes = batch.arena.mutableBytes
            var place = bytes._mutatingExtracting(plan.packet.range)
            try Segmenter.finishChecksum(packet.offload, of: &place)
        }
        return plan
    }

    private mutating func sealClassified(
        of batch: inout FromOverlay, into datagrams: inout ToUnderlay, at now: Instant
    ) {
        var first = 0
        while first < classified.count {
            var end = first + 1
            while end < classified.count, classified[end].slot == classified[first].slot { end += 1 }
            sealRun(first..<end, of: &batch, into: &datagrams, at: now)
            first = end
        }
        classified.removeAll()
    }

    /// Seals packets that go to one network.
    private mutating func sealRun(
        _ run: Range<Int>, of batch: inout FromOverlay, into datagrams: inout ToUnderlay, at now: Instant
    ) {
        let network = view.networks[classified[run.lowerBound].slot]
        var wanted = 0
        for position in run { wanted += classified[position].segments }
        do throws(DropReason) {
            guard let endpoint = network.endpoint else { throw .noUnderlayAddress }
            let association = try transmitSA(of: network, at: now)
            var counters = association.reserve(wanted)
            var target = SealTarget(network: network, association: association, endpoint: endpoint)
            for position in run {
                let plan = classified[position]
                if plan.segments == 1, batch.packets[plan.origin].offload.kind == .none {
                    sealOne(plan.packet, plan, from: &counters, of: batch, into: &datagrams, &target)
                } else {
                    sealSegments(plan, from: &counters, of: &batch, into: &datagrams, &target)
                }
            }
            count(target.packets, .txPackets, network.counters)
            count(target.bytes, .txBytes, network.counters)
        } catch {
            count(error, network.counters, packets: wanted)
        }
    }

    /// Where a run's packets go, and how many went.
    private struct SealTarget {
        let network: NetworkView
        let association: NetworkView.Transmit
        let endpoint: Endpoint
        var packets = 0
        var bytes = 0
    }

    private mutating func sealSegments(
        _ plan: Classified, from counters: inout Range<UInt64>, of batch: inout FromOverlay,
        into datagrams: inout ToUnderlay, _ target: inout SealTarget
    ) {
        guard let (segments, segmenter) = segmenter(for: plan, of: batch) else {
            count(.offloadMalformed, target.network.counters, packets: plan.segments)
            return
        }
        let available = min(segments.count, counters.count)
        var index = 0
        while index < available {
            let place = PacketRange(
                offset: plan.packet.offset + index * segments.segmentSize, count: segments.length(of: index))
            let start = datagrams.end
            let total = Geneve.overhead + place.count
            let isLast = index + 1 == available
            guard datagrams.hasRoom(for: total + (isLast ? 0 : Geneve.headerLength)) else { break }
            let counter = counters.lowerBound + UInt64(index)
            let sealed = sealSegment(
                index, at: start, counter, isLast: isLast, segmenter, place, plan, of: &batch, into: &datagrams, target)
            guard sealed else { break }
            datagrams.append(
                start..<start + total, to: target.endpoint, vni: target.network.vni, plan)
            target.packets += 1
            target.bytes += place.count
            index += 1
        }
        if index < available { count(.noRoom, target.network.counters, packets: available - index) }
        if available < segments.count {
            count(.countersExhausted, target.network.counters, packets: segments.count - available)
        }
        counters = counters.lowerBound + UInt64(available)..<counters.upperBound
    }

    /// Cuts a segment and seals it. The next segment's header is written before: a nonce that was stored just before
    /// the cipher loads it wider would stall it.
    @inline(__always)
    private mutating func sealSegment(
        _ index: Int, at start: Int, _ counter: UInt64, isLast: Bool, _ segmenter: borrowing Segmenter,
        _ place: PacketRange, _ plan: Classified, of batch: inout FromOverlay, into datagrams: inout ToUnderlay,
        _ target: SealTarget
    ) -> Bool {
        var buffer = batch.arena.mutableBytes
        segmenter.cut(index, in: &buffer)
        var output = datagrams.arena.mutableBytes
        let vni = target.network.vni
        // Safe: the segment lies in the batch's arena; the other arena has room for it and for the next one's header.
        return unsafe buffer.withUnsafeMutableBytes { source in
            unsafe output.withUnsafeMutableBytes { bytes in
                guard let from = source.baseAddress, let to = bytes.baseAddress else { return false }
                let header = unsafe to + start
                if index == 0 {
                    unsafe writeHeader(
                        protocolType: plan.protocolType, vni: vni, with: target.association, counter: counter,
                        to: header)
                }
                if !isLast {
                    unsafe writeHeader(
                        protocolType: plan.protocolType, vni: vni, with: target.association, counter: counter + 1,
                        to: header + Geneve.overhead + place.count)
                }
                return unsafe sealText(
                    from + place.offset, count: place.count, with: target.association, behind: header)
            }
        }
    }

    private func segmenter(for plan: Classified, of batch: borrowing FromOverlay) -> (SegmentPlan, Segmenter)? {
        let bytes = batch.arena.bytes.extracting(plan.packet.range)
        guard let inner = InnerPacket(bytes),
            let segments = try? SegmentPlan(bytes, batch.packets[plan.origin].offload, inner)
        else { return nil }
        return (segments, Segmenter(segments, inner, in: batch.arena.bytes, at: plan.packet.offset))
    }

    @inline(__always)
    private mutating func sealOne(
        _ place: PacketRange, _ plan: Classified, from counters: inout Range<UInt64>, of batch: borrowing FromOverlay,
        into datagrams: inout ToUnderlay, _ target: inout SealTarget
    ) {
        guard let counter = counters.popFirst() else {
            count(.countersExhausted, target.network.counters)
            return
        }
        let start = datagrams.end
        let total = Geneve.overhead + place.count
        guard datagrams.hasRoom(for: total) else {
            count(.noRoom, target.network.counters)
            return
        }
        // Safe: the packet lies in the batch's arena, and the other arena has room for the total.
        let sealed = unsafe batch.arena.bytes.withUnsafeBytes { source in
            var output = datagrams.arena.mutableBytes
            return unsafe output.withUnsafeMutableBytes { bytes in
                guard let from = source.baseAddress, let to = bytes.baseAddress else { return false }
                return unsafe seal(
                    from + place.offset, count: place.count, protocolType: plan.protocolType,
                    vni: target.network.vni, with: target.association, counter: counter, to: to + start)
            }
        }
        guard sealed else {
            count(.noTransmitKey, target.network.counters)
            return
        }
        datagrams.append(
            start..<start + total, to: target.endpoint, vni: target.network.vni, plan)
        target.packets += 1
        target.bytes += place.count
    }
}

extension Range<UInt64> {
    /// Takes the lowest value.
    @inline(__always)
    fileprivate mutating func popFirst() -> UInt64? {
        guard !isEmpty else { return nil }
        defer { self = lowerBound + 1..<upperBound }
        return lowerBound
    }
}

extension ToUnderlay {
    @inline(__always)
    func hasRoom(for count: Int) -> Bool { !runs.isFull && arena.capacity - end >= count }

    /// Appends a datagram that stands behind all others: to the last run if it continues that, else as a new one.
    @inline(__always)
    mutating func append(_ range: Range<Int>, to destination: Endpoint, vni: UInt32, _ plan: Lane.Classified?) {
        let source = plan?.source ?? 0
        end = range.upperBound
        if !runs.isEmpty {
            var last = runs[runs.count - 1]
            if last.vni == vni, last.source == source, last.place.offset + last.place.count == range.lowerBound,
                last.place.count % last.segmentSize == 0, range.count <= last.segmentSize,
                last.count < Self.longestRun, last.place.count + range.count <= Self.largestRun,
                last.destination == destination
            {
                last.place.count += range.count
                runs[runs.count - 1] = last
                return
            }
        }
        runs.append(
            Run(
                place: PacketRange(offset: range.lowerBound, count: range.count), segmentSize: range.count,
                destination: destination, vni: vni, origin: plan?.origin, source: source))
    }
}
