// SPDX-License-Identifier: Apache-2.0

// The transforms for IP packets a batch at a time: nothing allocated, one reservation of counters for each run of packets
// that share an SA. A batch goes through in steps, so that what a step looks at can be fetched while the step before is
// busy with other packets, and no nonce is written just before the cipher reads it, which would stall it.

extension Lane {
    /// Seals a batch of packets into datagrams, in order. Superpackets are cut as they are sealed, where they lie.
    public mutating func encapsulate(
        _ batch: inout FromOverlay, into datagrams: inout ToUnderlay, at now: Instant
    ) {
        var first = 0
        while first < batch.packets.count {
            let end = min(first + Self.batchLimit, batch.packets.count)
            readAddresses(first..<end, of: batch)
            view.routes.find(&lookups)
            makePlans(of: &batch, sourcePorts: datagrams.sourcePorts)
            reserveRuns(for: &datagrams, at: now)
            sealRuns(of: &batch, into: &datagrams)
            first = end
        }
    }

    private mutating func readAddresses(_ packets: Range<Int>, of batch: borrowing FromOverlay) {
        lookups.removeAll()
        for origin in packets {
            let bytes = batch.arena.bytes.extracting(batch.packets[origin].place.range)
            do throws(DropReason) {
                guard let (offset, inner) = try innerPacket(bytes) else {
                    // Requests are answered frame by frame only.
                    _ = try proxied(bytes)
                    throw .overlayNotIP
                }
                lookups.append(
                    RouteLookup(
                        source: inner.source, destination: inner.destination, origin: UInt32(origin),
                        offset: UInt32(offset)))
            } catch {
                count(error, nil)
            }
        }
    }

    /// Says how many datagrams each packet makes, and finishes the checksum of those that stay whole.
    private mutating func makePlans(of batch: inout FromOverlay, sourcePorts: Int) {
        plans.removeAll()
        var slot = RouteLookup.none
        for index in 0..<lookups.count {
            let lookup = lookups[index]
            guard lookup.slot != RouteLookup.none else {
                count(.noRoute, nil)
                continue
            }
            if lookup.slot != slot {
                slot = lookup.slot
                view.networks.prefetch(Int(slot))
            }
            do throws(DropReason) {
                plans.append(try plan(lookup, of: &batch, sourcePorts: sourcePorts))
            } catch {
                count(error, view.networks[Int(slot)].counters)
            }
        }
    }

    @inline(__always)
    private func plan(
        _ lookup: RouteLookup, of batch: inout FromOverlay, sourcePorts: Int
    ) throws(DropReason) -> SealPlan {
        let packet = batch.packets[Int(lookup.origin)]
        let offset = Int(lookup.offset)
        let place = PacketRange(offset: packet.place.offset + offset, count: packet.place.count - offset)
        let isV4 = lookup.source.family == .v4
        var plan = SealPlan(
            lookup, packet: place, protocolType: isV4 ? Geneve.ProtocolType.ipv4 : Geneve.ProtocolType.ipv6)
        plan.trafficClass = TrafficClass.of(batch.arena.bytes.extracting(place.range), isV4 ? .v4 : .v6)
        if packet.offload.kind != .none {
            let bytes = batch.arena.bytes.extracting(place.range)
            guard let inner = InnerPacket(bytes) else { throw .overlayMalformed }
            plan.cut(by: try SegmentPlan(bytes, packet.offload, inner))
        } else {
            // A superpacket begins no connection.
            var bytes = batch.arena.mutableBytes
            var text = bytes._mutatingExtracting(place.range)
            if packet.offload.needsChecksum { try Segmenter.finishChecksum(packet.offload, of: &text) }
            limitSegments(in: &text, lookup.source.family, view.networks[plan.slot])
        }
        if sourcePorts > 1 {
            plan.source = Int(flowHash.hash(batch.arena.bytes.extracting(place.range))) % sourcePorts
        }
        return plan
    }

    /// Reserves counters for each run of packets, gives each packet its place in the output, and writes the headers of
    /// the first datagram of each.
    private mutating func reserveRuns(for datagrams: inout ToUnderlay, at now: Instant) {
        runs.removeAll()
        var first = 0
        while first < plans.count {
            let slot = plans[first].slot
            var end = first + 1
            while end < plans.count, plans[end].slot == slot { end += 1 }
            if end < plans.count { view.networks[plans[end].slot].prefetchForSealing(lane: index) }
            reserveRun(first..<end, slot: slot, for: &datagrams, at: now)
            first = end
        }
    }

    @inline(__always)
    private mutating func reserveRun(_ run: Range<Int>, slot: Int, for datagrams: inout ToUnderlay, at now: Instant) {
        let network = view.networks[slot]
        var wanted = 0
        for position in run { wanted += plans[position].segments }
        do throws(DropReason) {
            guard let endpoint = network.endpoint else { throw .noUnderlayAddress }
            let association = try transmitSA(of: network, at: now)
            var counters = association.reserve(wanted)
            let target = SealTarget(
                network: network.id, endpoint: endpoint, local: network.local, longestPacket: network.longestPacket,
                copiedClass: copiedClass(to: network), association: association, counters: network.counters)
            for position in run { grant(position, from: &counters, target, for: &datagrams) }
            runs.append(SealRun(plans: run, network: target))
        } catch {
            count(error, network.counters, packets: wanted)
        }
    }

    @inline(__always)
    private mutating func grant(
        _ position: Int, from counters: inout Range<UInt64>, _ target: SealTarget, for datagrams: inout ToUnderlay
    ) {
        var plan = plans[position]
        plan.granted = min(plan.segments, counters.count)
        if plan.granted < plan.segments {
            count(target.association.lackOfCounters, target.counters, packets: plan.segments - plan.granted)
        }
        plan.counter = counters.lowerBound
        counters = counters.lowerBound + UInt64(plan.granted)..<counters.upperBound
        let room = datagrams.arena.capacity - datagrams.reserved
        if plan.sealedLength(segments: plan.granted) > room {
            let fitting = room / (plan.segmentLength + Geneve.overhead)
            count(.noRoom, target.counters, packets: plan.granted - fitting)
            plan.granted = fitting
        }
        plan.output = datagrams.reserved
        if plan.granted > 0 {
            datagrams.reserved += plan.sealedLength(segments: plan.granted)
            var output = datagrams.arena.mutableBytes
            // Safe: at least one whole datagram has room behind the place, by what was just checked.
            unsafe output.withUnsafeMutableBytes { bytes in
                guard let base = bytes.baseAddress else { return }
                unsafe writeHeader(
                    protocolType: plan.protocolType, with: target.association, counter: plan.counter,
                    to: base + plan.output)
            }
        }
        plans[position] = plan
    }
}
