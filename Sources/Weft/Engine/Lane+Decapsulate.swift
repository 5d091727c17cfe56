// SPDX-License-Identifier: Apache-2.0

extension Lane {
    /// Opens one datagram or frame from one buffer into another.
    ///
    /// - Parameters:
    ///   - received: what the underlay handed over, with `framing` around it; stays as it is.
    ///   - source: the underlay address that a `.datagram` came from; a `.frame` says so itself.
    ///   - output: gets the packet (layer 3) or frame (layer 2) from its first byte on. It needs room for as many
    ///     bytes as were received. When the datagram is dropped it holds nothing of use.
    public mutating func decapsulate(
        _ received: RawSpan, from source: IPAddress?, into output: inout MutableRawSpan, as framing: Framing,
        at now: Instant
    ) -> Outcome {
        var network: CounterBlocks.View?
        do throws(DropReason) {
            let (place, source, pair, trafficClass) = try datagram(in: received, from: source, framing)
            let datagram = received.extracting(place)
            var (header, opened) = try prepare(datagram, from: source, at: now, blame: &network)
            let start = overlayHeaderLength
            guard start + opened.plaintext.count <= output.byteCount else { throw .noOverlayRoom }
            // Safe: `prepare` found header, text and tag within the datagram, and the output has room for the text.
            let failure: DropReason? = unsafe datagram.withUnsafeBytes { bytes in
                unsafe output.withUnsafeMutableBytes { target in
                    guard let from = bytes.baseAddress, let to = target.baseAddress else {
                        return .authenticationFailed
                    }
                    return unsafe open(from, header, opened, to: to + start, at: now)
                }
            }
            opened.plaintext.offset = start
            opened.trafficClass = trafficClass
            return try admit(failure, &opened, from: pair, source, in: &output, at: now)
        } catch {
            count(error, network)
            return .dropped(error)
        }
    }

    /// Opens one datagram or frame where it stands.
    /// - Returns: where the packet or frame stands in the buffer.
    public mutating func decapsulate(
        inPlace buffer: inout MutableRawSpan, received range: Range<Int>, from source: IPAddress?,
        as framing: Framing, at now: Instant
    ) -> Outcome {
        var network: CounterBlocks.View?
        do throws(DropReason) {
            guard range.lowerBound >= 0, range.upperBound <= buffer.byteCount else { throw .datagramTruncated }
            let (place, source, pair, trafficClass) = try datagram(
                in: buffer.bytes.extracting(range), from: source, framing)
            let start = range.lowerBound + place.lowerBound
            var (header, opened) = try prepare(
                buffer.bytes.extracting(start..<start + place.count), from: source, at: now, blame: &network)
            let text = start + header.length
            // Safe: `prepare` found header, text and tag within the datagram, which lies in the buffer.
            let failure: DropReason? = unsafe buffer.withUnsafeMutableBytes { bytes in
                guard let base = bytes.baseAddress else { return .authenticationFailed }
                return unsafe open(UnsafeRawPointer(base + start), header, opened, to: base + text, at: now)
            }
            opened.plaintext.offset = text
            opened.trafficClass = trafficClass
            return try admit(failure, &opened, from: pair, source, in: &buffer, at: now)
        } catch {
            count(error, network)
            return .dropped(error)
        }
    }

    /// Bytes in front of an inner packet on the overlay: an Ethernet header or nothing.
    @inline(__always)
    var overlayHeaderLength: Int {
        if case .layer2 = mode { OuterHeaders.ethernetLength } else { 0 }
    }

    /// Where the datagram stands in what was received, who sent it, and both ends and the traffic class where the headers say them.
    @inline(__always)
    private func datagram(
        in received: RawSpan, from source: IPAddress?, _ framing: Framing
    ) throws(DropReason) -> (Range<Int>, IPAddress, AddressPair?, UInt8) {
        switch framing {
        case .datagram:
            return (0..<received.byteCount, source ?? IPAddress(v4: 0), nil, 0)
        case .frame:
            let outer = try OuterHeaders.parse(received)
            guard outer.destination.port == engine.configuration.port, isOurs(outer.destination.address) else {
                throw .notForUs
            }
            return (
                outer.datagram, outer.source.address,
                AddressPair(outer.source, from: outer.destination.address), outer.trafficClass
            )
        }
    }

    /// Whether an underlay address is one of ours; any is while none is known.
    private func isOurs(_ address: IPAddress) -> Bool {
        // A loop by hand: contains(where:) allocates in a debug build.
        let locals = engine.configuration.localAddresses
        for index in locals.indices where locals[index].address == address { return true }
        return locals.isEmpty
    }

    /// Takes one opened datagram through its replay window and the checks behind it.
    private mutating func admit(
        _ failure: DropReason?, _ opened: inout Opened, from pair: AddressPair?, _ source: IPAddress,
        in buffer: inout MutableRawSpan, at now: Instant
    ) throws(DropReason) -> Outcome {
        let network = view.networks[opened.slot]
        if let failure {
            network.failed(from: source, at: now)
            wipe(opened.plaintext.range, of: &buffer)
            throw failure
        }
        network.receive[opened.association].withWindow { window in
            opened.isNewest = opened.counter > window.highest
            opened.isFresh = window.accept(opened.counter)
        }
        guard opened.isFresh else {
            network.failed(from: source, at: now)
            throw .replayed
        }
        guard network.admits(from: source, at: now) else { throw .rateLimited }
        return try deliver(opened, network, from: pair, in: &buffer, at: now)
    }

    /// Permits a fresh packet and gives it its Ethernet header in layer 2 mode.
    @inline(__always)
    private mutating func deliver(
        _ opened: Opened, _ network: NetworkView, from pair: AddressPair?, in buffer: inout MutableRawSpan,
        at now: Instant
    ) throws(DropReason) -> Outcome {
        let range = opened.plaintext.range
        if opened.protocolType == Geneve.ProtocolType.outOfBand {
            countReceived(1, bytes: range.count, network, at: now)
            count(1, .rxOutOfBand, network.counters)
            if let pair {
                note(buffer.bytes.extracting(range), of: network, from: pair, isNewest: opened.isNewest)
            }
            return .consumed
        }
        let inner = try permit(buffer.bytes.extracting(range), opened, network)
        try amend(opened, inner.family, network, in: &buffer)
        countReceived(1, bytes: range.count, network, at: now)
        lastNetwork = network.id
        if opened.isNewest, let pair, pair.remote != network.endpoint { see(network, at: pair) }
        guard case .layer2(let source, let destination) = mode else { return .forward(range) }
        // The plaintext stands behind a Geneve header, or behind the room that the caller's output begins with.
        let start = range.lowerBound - OuterHeaders.ethernetLength
        buffer.store(destination, at: start)
        buffer.store(source, at: start + 6)
        buffer.store(inner.protocolType, at: start + 12)
        return .forward(start..<range.upperBound)
    }

    /// Zeroes what an unauthentic datagram was opened to, so that nobody can use it by mistake.
    func wipe(_ range: Range<Int>, of buffer: inout MutableRawSpan) {
        for offset in range { buffer.storeBytes(of: 0, toByteOffset: offset, as: UInt8.self) }
    }
}
