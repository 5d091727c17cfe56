// SPDX-License-Identifier: Apache-2.0

// The transforms for IP packets a batch at a time: nothing allocated, one reservation of counters and one hold of a
// replay window for each run of packets that share an SA. Layer 2 frames go through the transforms in place, since their
// driver moves each by its descriptor.

extension Lane {
    /// Seals a batch of packets into datagrams, in order.
    public mutating func encapsulate(
        _ batch: borrowing FromOverlay, into datagrams: inout ToUnderlay, at now: Instant
    ) {
        classified.removeAll()
        for origin in 0..<batch.packets.count {
            let place = batch.packets[origin]
            do throws(DropReason) {
                guard case .forward(var plan) = try classify(batch.arena.bytes.extracting(place.range)) else {
                    throw .overlayNotIP
                }
                plan.packet.offset += place.offset
                plan.origin = origin
                if classified.isFull { sealClassified(of: batch, into: &datagrams, at: now) }
                classified.append(plan)
            } catch {
                count(error, nil)
            }
        }
        sealClassified(of: batch, into: &datagrams, at: now)
    }

    private mutating func sealClassified(
        of batch: borrowing FromOverlay, into datagrams: inout ToUnderlay, at now: Instant
    ) {
        var first = 0
        while first < classified.count {
            var end = first + 1
            while end < classified.count, classified[end].slot == classified[first].slot { end += 1 }
            sealRun(first..<end, of: batch, into: &datagrams, at: now)
            first = end
        }
        classified.removeAll()
    }

    /// Seals packets that go to one network.
    private mutating func sealRun(
        _ run: Range<Int>, of batch: borrowing FromOverlay, into datagrams: inout ToUnderlay, at now: Instant
    ) {
        let network = snapshot.networks[classified[run.lowerBound].slot]
        do throws(DropReason) {
            guard let endpoint = network.configuration.endpoint else { throw .noUnderlayAddress }
            let association = try transmitSA(of: network, at: now)
            let counters = association.reserve(run.count)
            let vni = network.configuration.vni
            var sealedBytes = 0
            var sealedCount = 0
            // Counted by hand: a debug build allocates in zip's iterator.
            var counter = counters.lowerBound
            for position in run.lowerBound..<run.lowerBound + counters.count {
                defer { counter += 1 }
                let plan = classified[position]
                let start = datagrams.end
                let total = Geneve.overhead + plan.packet.count
                guard datagrams.hasRoom(for: total) else {
                    count(.noRoom, network.counters)
                    continue
                }
                // Safe: the packet lies in the batch's arena, and the other arena has room for the total.
                let sealed = unsafe batch.arena.bytes.withUnsafeBytes { source in
                    var output = datagrams.arena.mutableBytes
                    return unsafe output.withUnsafeMutableBytes { target in
                        guard let from = source.baseAddress, let to = target.baseAddress else { return false }
                        return unsafe seal(
                            from + plan.packet.offset, count: plan.packet.count, protocolType: plan.protocolType,
                            vni: vni, with: association, counter: counter, to: to + start)
                    }
                }
                guard sealed else {
                    count(.noTransmitKey, network.counters)
                    continue
                }
                datagrams.append(start..<start + total, to: endpoint, vni: vni, origin: plan.origin)
                sealedBytes += plan.packet.count
                sealedCount += 1
            }
            if counters.count < run.count {
                count(.countersExhausted, network.counters, packets: run.count - counters.count)
            }
            count(sealedCount, .txPackets, network.counters)
            count(sealedBytes, .txBytes, network.counters)
        } catch {
            count(error, network.counters, packets: run.count)
        }
    }

    /// Opens a batch of datagrams where they lie and lists those that may enter the overlay, in the order of arrival.
    public mutating func decapsulate(_ batch: inout FromUnderlay, into packets: inout ToOverlay, at now: Instant) {
        opened.removeAll()
        for position in 0..<batch.datagrams.count {
            if opened.isFull { admitOpened(of: batch, into: &packets, at: now) }
            open(batch.datagrams[position], in: &batch, at: now)
        }
        admitOpened(of: batch, into: &packets, at: now)
    }

    private mutating func admitOpened(
        of batch: borrowing FromUnderlay, into packets: inout ToOverlay, at now: Instant
    ) {
        var first = 0
        while first < opened.count {
            var end = first + 1
            while end < opened.count, opened[end].slot == opened[first].slot,
                opened[end].association == opened[first].association
            { end += 1 }
            admitRun(first..<end, of: batch, into: &packets, at: now)
            first = end
        }
        opened.removeAll()
    }

    private mutating func open(_ datagram: FromUnderlay.Datagram, in batch: inout FromUnderlay, at now: Instant) {
        var blame: Int?
        do throws(DropReason) {
            guard !datagram.isTruncated else { throw .datagramTruncated }
            let start = datagram.place.offset
            var (header, candidate) = try prepare(
                batch.arena.bytes.extracting(datagram.place.range), from: datagram.source.address, at: now,
                blame: &blame)
            var buffer = batch.arena.mutableBytes
            // Safe: `prepare` found header, text and tag within the datagram, which lies in the arena.
            let isAuthentic = unsafe buffer.withUnsafeMutableBytes { bytes in
                guard let base = bytes.baseAddress else { return false }
                return unsafe open(
                    UnsafeRawPointer(base + start), header, candidate, to: base + start + header.length)
            }
            guard isAuthentic else { throw .authenticationFailed }
            candidate.plaintext.offset = start + header.length
            opened.append(candidate)
        } catch {
            count(error, slot: blame)
        }
    }

    /// Takes packets that one SA opened through its window, holding it once, and on to the overlay.
    private mutating func admitRun(
        _ run: Range<Int>, of batch: borrowing FromUnderlay, into packets: inout ToOverlay, at now: Instant
    ) {
        let network = snapshot.networks[opened[run.lowerBound].slot]
        network.receive[opened[run.lowerBound].association].window.withLock { window in
            for position in run { opened[position].isFresh = window.accept(opened[position].counter) }
        }
        var accepted = 0
        var bytes = 0
        for position in run {
            let candidate = opened[position]
            do throws(DropReason) {
                guard candidate.isFresh else { throw .replayed }
                if candidate.protocolType == Geneve.ProtocolType.outOfBand {
                    count(1, .rxOutOfBand, network.counters)
                } else {
                    try permit(batch.arena.bytes.extracting(candidate.plaintext.range), candidate, network)
                    guard !packets.packets.isFull else { throw .noOverlayRoom }
                    packets.append(candidate.plaintext, vni: network.configuration.vni)
                }
                accepted += 1
                bytes += candidate.plaintext.count
            } catch {
                count(error, network.counters)
            }
        }
        if accepted > 0 { countReceived(accepted, bytes: bytes, network, at: now) }
    }
}

extension ToUnderlay {
    @inline(__always)
    func hasRoom(for count: Int) -> Bool { !datagrams.isFull && arena.capacity - end >= count }

    @inline(__always)
    mutating func append(_ range: Range<Int>, to destination: Endpoint, vni: UInt32, origin: Int?) {
        datagrams.append(
            Datagram(
                place: PacketRange(offset: range.lowerBound, count: range.count), destination: destination, vni: vni,
                origin: origin))
        end = (range.upperBound + 63) & ~63
    }
}

extension ToOverlay {
    @inline(__always)
    mutating func append(_ place: PacketRange, vni: UInt32) { packets.append(Packet(place: place, vni: vni)) }
}
