// SPDX-License-Identifier: Apache-2.0

extension Lane {
    /// Appends a sealed probe to a batch.
    /// - Parameters:
    ///   - probe: its ``PathProbe/length`` says how long the text is, with what follows.
    ///   - place: where it goes, whatever the network's endpoint is.
    /// - Returns: false where there is no key to seal with, no such network, or no room; nothing is counted then.
    public mutating func append(
        _ probe: PathProbe, to place: AddressPair, of id: NetworkID, into batch: inout ToUnderlay, at now: Instant
    ) -> Bool {
        let count = probe.kind == .answer ? PathProbe.byteCount : max(Int(probe.length), PathProbe.byteCount)
        let start = batch.reserved
        guard let slot = view.slot(of: id), !batch.runs.isFull,
            batch.arena.capacity - start >= Geneve.overhead + count,
            let association = try? transmitSA(of: view.networks[slot], at: now)
        else { return false }
        let network = view.networks[slot]
        let counters = association.reserve(1)
        guard !counters.isEmpty else { return false }
        var output = batch.arena.mutableBytes
        let text = start + Geneve.headerLength
        for offset in text..<text + count { output.storeBytes(of: 0, toByteOffset: offset, as: UInt8.self) }
        probe.write(into: &output, at: text)
        // Safe: the guard leaves room for header, text and tag; the text is read before it is overwritten, as in place.
        let sealed = unsafe output.withUnsafeMutableBytes { bytes in
            guard let base = bytes.baseAddress else { return false }
            return unsafe seal(
                UnsafeRawPointer(base + text), count: count, protocolType: Geneve.ProtocolType.outOfBand,
                with: association, counter: counters.lowerBound, to: base + start)
        }
        guard sealed,
            batch.append(
                start..<start + Geneve.overhead + count, to: place.remote, from: place.local, network: id,
                mayFragment: count == PathProbe.byteCount)
        else { return false }
        self.count(1, .txPackets, network.counters)
        self.count(1, .txKeepAlives, network.counters)
        self.count(count, .txBytes, network.counters)
        return true
    }

    /// Notes what an authentic, fresh out-of-band message says, and where it came from.
    func note(
        _ text: RawSpan, of network: NetworkView, from place: AddressPair, isNewest: Bool
    ) {
        if let probe = PathProbe(text) { network.note(probe, from: place, engine.pathNews) }
        if isNewest { see(network, at: place) }
    }

    /// Notes where something authentic came from that is newer than all before.
    @inline(__always)
    func see(_ network: NetworkView, at place: AddressPair) {
        if place.remote != network.endpoint { network.see(place, engine.pathNews) }
    }
}
