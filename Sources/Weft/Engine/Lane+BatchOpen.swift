// SPDX-License-Identifier: Apache-2.0

extension Lane {
    /// Opens a batch of datagrams where they lie, lists those that may enter the overlay, and groups those that can be
    /// written as superpackets. A flow stays in the order of arrival; what one batch got out of order it puts right by
    /// the sender's counters.
    public mutating func decapsulate(_ batch: inout FromUnderlay, into packets: inout ToOverlay, at now: Instant) {
        opened.removeAll()
        coalescer.reset()
        for position in 0..<batch.buffers.count {
            let buffer = batch.buffers[position]
            var offset = 0
            repeat {
                if opened.isFull { admitOpened(of: batch, into: &packets, at: now) }
                let place = PacketRange(
                    offset: buffer.place.offset + offset, count: min(buffer.segmentSize, buffer.place.count - offset))
                open(place, of: buffer, in: &batch, at: now)
                offset += buffer.segmentSize
            } while offset < buffer.place.count
        }
        admitOpened(of: batch, into: &packets, at: now)
        var bytes = batch.arena.mutableBytes
        coalescer.finish(packets, in: &bytes)
    }

    private mutating func admitOpened(
        of batch: borrowing FromUnderlay, into packets: inout ToOverlay, at now: Instant
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
            admitRun(first..<end, of: batch, into: &packets, at: now)
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
    private mutating func open(
        _ place: PacketRange, of buffer: FromUnderlay.Buffer, in batch: inout FromUnderlay, at now: Instant
    ) {
        var network: CounterBlocks.View?
        do throws(DropReason) {
            guard !buffer.isTruncated else { throw .datagramTruncated }
            var (header, candidate) = try prepare(
                batch.arena.bytes.extracting(place.range), from: buffer.source.address, at: now, blame: &network)
            var bytes = batch.arena.mutableBytes
            // Safe: `prepare` found header, text and tag within the datagram, which lies in the arena.
            let isAuthentic = unsafe bytes.withUnsafeMutableBytes { memory in
                guard let base = memory.baseAddress else { return false }
                return unsafe open(
                    UnsafeRawPointer(base + place.offset), header, candidate, to: base + place.offset + header.length)
            }
            candidate.plaintext.offset = place.offset + header.length
            guard isAuthentic else {
                wipe(candidate.plaintext.range, of: &bytes)
                throw .authenticationFailed
            }
            opened.append(candidate)
        } catch {
            count(error, network)
        }
    }

    /// Takes packets that one SA opened through its window, holding it once, and on to the overlay.
    private mutating func admitRun(
        _ run: Range<Int>, of batch: borrowing FromUnderlay, into packets: inout ToOverlay, at now: Instant
    ) {
        let network = view.networks[opened[run.lowerBound].slot]
        network.receive[opened[run.lowerBound].association].withWindow { window in
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
                    packets.packets.append(
                        ToOverlay.Packet(place: candidate.plaintext, vni: network.vni, next: nil))
                    coalescer.add(packets.packets.count - 1, of: &packets, in: batch.arena.bytes)
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
