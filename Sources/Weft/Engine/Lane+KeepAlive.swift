// SPDX-License-Identifier: Apache-2.0

extension Lane {
    /// Writes a network's keep-alive into `output` if one is due: authenticated, protocol 0, no payload.
    ///
    /// Due at the first call and then one interval after the last keep-alive, whatever data was sent.
    /// - Returns: nil when none is due or none can be sent (no key, no endpoint): that is no dropped packet.
    public mutating func keepAlive(
        of network: NetworkID, into output: inout MutableRawSpan, as framing: Framing, at now: Instant
    ) -> Range<Int>? {
        guard let slot = view.slot(of: network) else { return nil }
        return keepAlive(slot: slot, into: &output, at: 0, as: framing, now)
    }

    private mutating func keepAlive(
        slot: Int, into output: inout MutableRawSpan, at start: Int, as framing: Framing, _ now: Instant
    ) -> Range<Int>? {
        let network = view.networks[slot]
        let timer = snapshot.networks[slot].keepAlive
        guard !timer.isDisabled, let association = try? transmitSA(of: network, at: now),
            let outer = try? outerLength(of: slot, framing, inner: 0),
            output.byteCount - start >= outer + Geneve.overhead, timer.isDue(at: now)
        else { return nil }
        let counters = association.reserve(1)
        guard !counters.isEmpty else { return nil }
        // Safe: the guard leaves room for outer headers, Geneve header and tag; there is no text to read.
        let sealed = unsafe output.withUnsafeMutableBytes { bytes in
            guard let base = bytes.baseAddress else { return false }
            let header = unsafe base + start + outer
            return unsafe seal(
                UnsafeRawPointer(header + Geneve.headerLength), count: 0,
                protocolType: Geneve.ProtocolType.outOfBand, with: association, counter: counters.lowerBound,
                to: header)
        }
        guard sealed else { return nil }
        if framing == .frame {
            let port = engine.configuration.port
            guard
                (try? writeOuter(
                    of: slot, datagram: Geneve.overhead, port: port, into: &output, at: start)) != nil
            else { return nil }
        }
        count(1, .txPackets, network.counters)
        count(1, .txKeepAlives, network.counters)
        return start..<start + outer + Geneve.overhead
    }

    /// Appends the keep-alives that are due to a batch, as many as fit; the others stay due.
    public mutating func keepAlives(into batch: inout ToUnderlay, at now: Instant) {
        for slot in view.networks.indices where !batch.runs.isFull {
            guard let endpoint = view.networks[slot].endpoint else { continue }
            let network = view.networks[slot].id
            let start = batch.reserved
            var output = batch.arena.mutableBytes
            guard let range = keepAlive(slot: slot, into: &output, at: start, as: .datagram, now) else { continue }
            _ = batch.append(range, to: endpoint, from: view.networks[slot].local, network: network)
        }
    }
}
