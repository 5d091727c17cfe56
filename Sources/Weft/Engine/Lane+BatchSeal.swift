// SPDX-License-Identifier: Apache-2.0

extension Lane {
    /// How many runs ahead keys are fetched.
    private static var lookahead: Int { 2 }

    /// What was sealed.
    private struct Sealed {
        var packets = 0
        var bytes = 0
    }

    /// Seals what has counters and room.
    mutating func sealRuns(of batch: inout FromOverlay, into datagrams: inout ToUnderlay) {
        var total = Sealed()
        for number in 0..<min(Self.lookahead, runs.count) where runs.count > 1 {
            runs[number].network.association.prefetchKey()
        }
        for number in 0..<runs.count {
            if number + Self.lookahead < runs.count {
                runs[number + Self.lookahead].network.association.prefetchKey()
            }
            let run = runs[number]
            var sealed = Sealed()
            for position in run.plans {
                let plan = plans[position]
                if plan.isCut {
                    sealSegments(plan, run.network, of: &batch, into: &datagrams, &sealed)
                } else if plan.granted > 0 {
                    sealWhole(plan, run.network, of: batch, into: &datagrams, &sealed)
                }
            }
            run.network.counters.add(UInt64(sealed.packets), to: .txPackets, lane: index)
            run.network.counters.add(UInt64(sealed.bytes), to: .txBytes, lane: index)
            total.packets += sealed.packets
            total.bytes += sealed.bytes
        }
        totals.add(UInt64(total.packets), to: .txPackets, lane: index)
        totals.add(UInt64(total.bytes), to: .txBytes, lane: index)
    }

    @inline(__always)
    private mutating func sealWhole(
        _ plan: SealPlan, _ target: SealTarget, of batch: borrowing FromOverlay, into datagrams: inout ToUnderlay,
        _ done: inout Sealed
    ) {
        // Safe: the packet lies in the batch's arena, and the other arena has room for what was granted.
        let sealed = unsafe batch.arena.bytes.withUnsafeBytes { source in
            var output = datagrams.arena.mutableBytes
            return unsafe output.withUnsafeMutableBytes { bytes in
                guard let from = source.baseAddress, let to = bytes.baseAddress else { return false }
                return unsafe sealText(
                    from + plan.packet.offset, count: plan.packet.count, with: target.association,
                    behind: to + plan.output)
            }
        }
        append(
            sealed, plan.output..<plan.output + Geneve.overhead + plan.packet.count, plan, target, to: &datagrams, &done
        )
    }

    private mutating func sealSegments(
        _ plan: SealPlan, _ target: SealTarget, of batch: inout FromOverlay, into datagrams: inout ToUnderlay,
        _ done: inout Sealed
    ) {
        guard plan.granted > 0 else { return }
        guard let (segments, segmenter) = segmenter(for: plan, of: batch) else {
            count(.offloadMalformed, target.counters, packets: plan.granted)
            return
        }
        var start = plan.output
        for index in 0..<plan.granted {
            let place = PacketRange(
                offset: plan.packet.offset + index * segments.segmentSize, count: segments.length(of: index))
            let end = start + Geneve.overhead + place.count
            let sealed = sealSegment(
                index, at: start, isLast: index + 1 == plan.granted, segmenter, place, plan, target, of: &batch,
                into: &datagrams)
            append(sealed, start..<end, plan, target, to: &datagrams, &done)
            start = end
        }
    }

    /// Cuts a segment and seals it behind its header, and writes the next segment's header.
    @inline(__always)
    private mutating func sealSegment(
        _ index: Int, at start: Int, isLast: Bool, _ segmenter: borrowing Segmenter, _ place: PacketRange,
        _ plan: SealPlan, _ target: SealTarget, of batch: inout FromOverlay, into datagrams: inout ToUnderlay
    ) -> Bool {
        var buffer = batch.arena.mutableBytes
        segmenter.cut(index, in: &buffer)
        var output = datagrams.arena.mutableBytes
        // Safe: the segment lies in the batch's arena; the other arena has room for it, and for the next one behind it.
        return unsafe buffer.withUnsafeMutableBytes { source in
            unsafe output.withUnsafeMutableBytes { bytes in
                guard let from = source.baseAddress, let to = bytes.baseAddress else { return false }
                let header = unsafe to + start
                if !isLast {
                    unsafe writeHeader(
                        protocolType: plan.protocolType, with: target.association,
                        counter: plan.counter + UInt64(index) + 1, to: header + Geneve.overhead + place.count)
                }
                return unsafe sealText(
                    from + place.offset, count: place.count, with: target.association, behind: header)
            }
        }
    }

    private func segmenter(for plan: SealPlan, of batch: borrowing FromOverlay) -> (SegmentPlan, Segmenter)? {
        let bytes = batch.arena.bytes.extracting(plan.packet.range)
        guard let inner = InnerPacket(bytes),
            let segments = try? SegmentPlan(bytes, batch.packets[plan.origin].offload, inner)
        else { return nil }
        return (segments, Segmenter(segments, inner, in: batch.arena.bytes, at: plan.packet.offset))
    }

    /// Takes a sealed datagram into the output, or counts why it isn't.
    @inline(__always)
    private func append(
        _ isSealed: Bool, _ range: Range<Int>, _ plan: SealPlan, _ target: SealTarget,
        to datagrams: inout ToUnderlay, _ done: inout Sealed
    ) {
        guard isSealed else { return count(.noTransmitKey, target.counters) }
        guard
            datagrams.append(
                range, to: target.endpoint, from: target.local, network: target.network, origin: plan.origin,
                source: plan.source, trafficClass: plan.trafficClass & target.copiedClass,
                longestPacket: target.longestPacket)
        else { return count(.noRoom, target.counters) }
        done.packets += 1
        done.bytes += range.count - Geneve.overhead
    }
}

extension ToUnderlay {
    /// Appends a datagram that stands behind all others: to the last run if it continues that, else as a new one.
    /// - Returns: false when there is no room for another run.
    @inline(__always)
    mutating func append(
        _ range: Range<Int>, to destination: Endpoint, from local: IPAddress? = nil, network: NetworkID,
        origin: Int? = nil, source: Int = 0, trafficClass: UInt8 = 0, mayFragment: Bool = true,
        longestPacket: Int = .max
    ) -> Bool {
        reserved = max(reserved, range.upperBound)
        if !runs.isEmpty {
            var last = runs[runs.count - 1]
            if last.network == network, last.source == source, last.place.offset + last.place.count == range.lowerBound,
                last.place.count % last.segmentSize == 0, range.count <= last.segmentSize,
                last.count < Self.longestRun, last.place.count + range.count <= Self.largestRun,
                last.destination == destination, last.local == local, last.trafficClass == trafficClass,
                last.mayFragment == mayFragment
            {
                last.place.count += range.count
                runs[runs.count - 1] = last
                return true
            }
        }
        guard !runs.isFull else { return false }
        runs.append(
            Run(
                place: PacketRange(offset: range.lowerBound, count: range.count), segmentSize: range.count,
                destination: destination, local: local, trafficClass: trafficClass, mayFragment: mayFragment,
                longestPacket: longestPacket,
                network: network, origin: origin,
                source: source))
        return true
    }
}
