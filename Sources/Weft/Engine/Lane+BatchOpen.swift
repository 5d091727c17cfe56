// SPDX-License-Identifier: Apache-2.0

extension Lane {
    /// A datagram of a batch whose network is known.
    struct Located: BitwiseCopyable {
        let datagram: PacketRange
        /// The buffer that it lies in.
        let buffer: Int
        let header: Geneve.Header
        /// The network's slot in this lane's snapshot.
        let slot: Int
    }

    /// How many datagrams ahead SAs and keys are fetched.
    private static var lookahead: Int { 2 }

    /// Opens a batch of datagrams where they lie, lists those that may enter the overlay, and groups those that can be
    /// written as superpackets. A flow stays in the order of arrival; what one batch got out of order it puts right by
    /// the sender's counters.
    public mutating func decapsulate(_ batch: inout FromUnderlay, into packets: inout ToOverlay, at now: Instant) {
        located.removeAll()
        coalescer.reset()
        for position in 0..<batch.buffers.count {
            let buffer = batch.buffers[position]
            var offset = 0
            repeat {
                if located.isFull { openLocated(of: &batch, into: &packets, at: now) }
                let place = PacketRange(
                    offset: buffer.place.offset + offset, count: min(buffer.segmentSize, buffer.place.count - offset))
                do throws(DropReason) {
                    guard !buffer.isTruncated else { throw .datagramTruncated }
                    let (header, slot) = try locate(batch.arena.bytes.extracting(place.range))
                    if located.isEmpty || located[located.count - 1].slot != slot { view.networks.prefetch(slot) }
                    located.append(Located(datagram: place, buffer: position, header: header, slot: slot))
                } catch {
                    count(error, nil)
                }
                offset += buffer.segmentSize
            } while offset < buffer.place.count
        }
        openLocated(of: &batch, into: &packets, at: now)
        var bytes = batch.arena.mutableBytes
        coalescer.finish(packets, in: &bytes)
    }

    /// Opens what was located, and takes what is authentic on.
    private mutating func openLocated(of batch: inout FromUnderlay, into packets: inout ToOverlay, at now: Instant) {
        opened.removeAll()
        for position in 0..<located.count { fetchNetwork(at: position) }
        for position in 0..<min(Self.lookahead, located.count) { fetchKey(at: position) }
        for position in 0..<located.count {
            fetchKey(at: position + Self.lookahead)
            open(located[position], of: &batch, at: now)
        }
        admitOpened(of: &batch, into: &packets, at: now)
        located.removeAll()
    }

    /// Whether a datagram's network is not the one of the datagram before, whose tables are in the cache.
    @inline(__always)
    private func changesNetwork(at position: Int) -> Bool {
        position < located.count && position > 0 && located[position].slot != located[position - 1].slot
    }

    @inline(__always)
    private func fetchNetwork(at position: Int) {
        guard changesNetwork(at: position) else { return }
        view.networks[located[position].slot].prefetchForOpening(lane: index)
    }

    @inline(__always)
    private func fetchKey(at position: Int) {
        guard changesNetwork(at: position) else { return }
        let network = view.networks[located[position].slot]
        guard
            let association = network.receiveIndex(
                vni: located[position].header.vni, spi: located[position].header.spi)
        else { return }
        network.receive[association].prefetch()
        network.allowedSources.prefetch(.v4)
    }

    private mutating func admitOpened(
        of batch: inout FromUnderlay, into packets: inout ToOverlay, at now: Instant
    ) {
        var first = 0
        while first < opened.count {
            var end = first + 1
            var isOrdered = true
            while end < opened.count, opened[end].slot == opened[first].slot,
                opened[end].association == opened[first].association
            {
                isOrdered = isOrdered && opened[end].counter > opened[end - 1].counter
                end += 1
            }
            if !isOrdered { sort(first..<end) }
            admitRun(first..<end, of: &batch, into: &packets, at: now)
            first = end
        }
        opened.removeAll()
    }

    /// Puts a run into the order of its counters. Runs are short and nearly ordered: insertion is the fastest.
    private mutating func sort(_ run: Range<Int>) {
        for position in run.dropFirst() {
            let candidate = opened[position]
            var hole = position
            while hole > run.lowerBound, opened[hole - 1].counter > candidate.counter {
                opened[hole] = opened[hole - 1]
                hole -= 1
            }
            opened[hole] = candidate
        }
    }

    @inline(__always)
    private mutating func open(_ located: Located, of batch: inout FromUnderlay, at now: Instant) {
        var network: CounterBlocks.View?
        let start = located.datagram.offset
        let source = batch.buffers[located.buffer].source.address
        do throws(DropReason) {
            var candidate = try check(
                batch.arena.bytes.extracting(located.datagram.range), located.header, slot: located.slot,
                from: source, at: now, blame: &network)
            candidate.plaintext.offset = start + located.header.length
            candidate.buffer = located.buffer
            candidate.trafficClass = batch.buffers[located.buffer].trafficClass
            var bytes = batch.arena.mutableBytes
            // Safe: header, text and tag were found within the datagram, which lies in the arena.
            let failure: DropReason? = unsafe bytes.withUnsafeMutableBytes { memory in
                guard let base = memory.baseAddress else { return .authenticationFailed }
                return unsafe open(
                    UnsafeRawPointer(base + start), located.header, candidate,
                    to: base + candidate.plaintext.offset, at: now)
            }
            if let failure {
                view.networks[located.slot].failed(from: source, at: now)
                wipe(candidate.plaintext.range, of: &bytes)
                throw failure
            }
            opened.append(candidate)
        } catch {
            count(error, network)
        }
    }

    /// Takes packets that one SA opened through its window, holding it once, and on to the overlay.
    private mutating func admitRun(
        _ run: Range<Int>, of batch: inout FromUnderlay, into packets: inout ToOverlay, at now: Instant
    ) {
        let network = view.networks[opened[run.lowerBound].slot]
        var highestBefore: UInt64 = 0
        network.receive[opened[run.lowerBound].association].withWindow { window in
            highestBefore = window.highest
            for position in run { opened[position].isFresh = window.accept(opened[position].counter) }
        }
        var accepted = 0
        var bytes = 0
        for position in run {
            let candidate = opened[position]
            do throws(DropReason) {
                guard candidate.isFresh else {
                    network.failed(from: batch.buffers[candidate.buffer].source.address, at: now)
                    throw .replayed
                }
                guard network.admits(from: batch.buffers[candidate.buffer].source.address, at: now) else {
                    throw .rateLimited
                }
                if candidate.protocolType == Geneve.ProtocolType.outOfBand {
                    count(1, .rxOutOfBand, network.counters)
                    let buffer = batch.buffers[candidate.buffer]
                    note(
                        batch.arena.bytes.extracting(candidate.plaintext.range), of: network,
                        from: AddressPair(buffer.source, from: buffer.local),
                        isNewest: candidate.counter > highestBefore)
                } else {
                    let inner = try permit(
                        batch.arena.bytes.extracting(candidate.plaintext.range), candidate, network)
                    var arena = batch.arena.mutableBytes
                    try amend(candidate, inner.family, network, in: &arena)
                    guard !packets.packets.isFull else { throw .noOverlayRoom }
                    packets.packets.append(
                        ToOverlay.Packet(place: candidate.plaintext, network: network.id, next: nil))
                    coalescer.add(packets.packets.count - 1, of: &packets, in: batch.arena.bytes)
                }
                accepted += 1
                bytes += candidate.plaintext.count
            } catch {
                count(error, network.counters)
            }
        }
        guard accepted > 0 else { return }
        countReceived(accepted, bytes: bytes, network, at: now)
        let newest = opened[run.upperBound - 1]
        let buffer = batch.buffers[newest.buffer]
        if newest.isFresh, newest.counter > highestBefore, buffer.source != network.endpoint {
            see(network, at: AddressPair(buffer.source, from: buffer.local))
        }
    }
}
