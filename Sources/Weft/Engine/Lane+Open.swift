// SPDX-License-Identifier: Apache-2.0

extension Lane {
    /// A datagram whose tag verified, on its way through the replay window.
    struct Opened: BitwiseCopyable {
        /// The network's slot in this lane's snapshot.
        var slot: Int
        /// Which of the network's receive SAs opened it.
        var association: Int
        var counter: UInt64
        var protocolType: UInt16
        /// Where the plaintext stands in the output.
        var plaintext: PacketRange
        /// Which of the batch's buffers it came in.
        var buffer = 0
        /// Set once the window has accepted the counter.
        var isFresh = false
        /// Whether it is newer than all before.
        var isNewest = false
        /// The outer header's.
        var trafficClass: UInt8 = 0
    }

    /// Checks a datagram up to the point where its key is known. The order of the checks is ICX's, where a counter
    /// tells it apart.
    @inline(__always)
    func prepare(
        _ datagram: RawSpan, from source: IPAddress, at now: Instant, blame: inout CounterBlocks.View?
    ) throws(DropReason) -> (header: Geneve.Header, opened: Opened) {
        let (header, slot) = try locate(datagram)
        return (header, try check(datagram, header, slot: slot, from: source, at: now, blame: &blame))
    }

    /// Reads a datagram's header and finds its network's slot.
    @inline(__always)
    func locate(_ datagram: RawSpan) throws(DropReason) -> (header: Geneve.Header, slot: Int) {
        let header = try Geneve.parse(datagram)
        guard let slot = view.vnis.slot(of: header.vni) else { throw .unknownVNI }
        return (header, slot)
    }

    /// Checks a datagram against its network, up to the point where its key is known.
    @inline(__always)
    func check(
        _ datagram: RawSpan, _ header: Geneve.Header, slot: Int, from source: IPAddress, at now: Instant,
        blame: inout CounterBlocks.View?
    ) throws(DropReason) -> Opened {
        let network = view.networks[slot]
        blame = network.counters
        if network.checksUnderlaySource, network.endpoint?.address != source {
            throw .wrongUnderlaySource
        }
        guard let association = network.receiveIndex(vni: header.vni, spi: header.spi) else { throw .noReceiveKey }
        guard now <= network.receive[association].expiry else { throw .receiveKeyExpired }
        let nonceSPI: UInt32 = datagram.load(at: header.nonceOffset)
        guard nonceSPI == header.spi else { throw .spiMismatch }
        if let refusal = network.refusal(of: source, at: now) { throw refusal }
        let count = datagram.byteCount - header.length - Geneve.tagLength
        // Too short for a tag is no different from a wrong one.
        guard count >= 0 else {
            network.failed(from: source, at: now)
            throw .authenticationFailed
        }
        return Opened(
            slot: slot, association: association, counter: datagram.load(at: header.nonceOffset + 4),
            protocolType: header.protocolType, plaintext: PacketRange(offset: header.length, count: count))
    }

    /// Opens what `prepare` found: `datagram` points to the Geneve header, `output` to where the plaintext goes. What it did
    /// not open, for the reason that it returns, is garbage.
    @inline(__always)
    mutating func open(
        _ datagram: UnsafeRawPointer, _ header: Geneve.Header, _ opened: Opened, to output: UnsafeMutableRawPointer,
        at now: Instant
    ) -> DropReason? {
        let key = unsafe view.networks[opened.slot].receive[opened.association].key
        let text = unsafe datagram + header.length
        let job = unsafe PacketCipher.Job(
            key: key, nonce: datagram + header.nonceOffset, associatedData: datagram,
            associatedCount: header.length, input: text, output: output, count: opened.plaintext.count)
        if unsafe cipher.open(job, tag: text + opened.plaintext.count) { return nil }
        return unsafe reasonNotToOpen(datagram, header, opened, to: output, at: now)
    }

    /// Whether an opened packet may enter the overlay: its source is one whose longest match leads to the peer, and its
    /// destination lies on our side.
    @inline(__always)
    @discardableResult
    func permit(_ packet: RawSpan, _ opened: Opened, _ network: NetworkView) throws(DropReason) -> InnerPacket {
        guard let inner = InnerPacket(packet), network.allowedSources.contains(inner.source) else {
            throw .innerSourceNotAllowed
        }
        guard network.allowedDestinations.contains(inner.destination) else { throw .innerDestinationNotAllowed }
        if network.asksRoutes, view.routes.slot(from: inner.destination, to: inner.source) != opened.slot {
            throw .innerSourceNotAllowed
        }
        guard inner.protocolType == opened.protocolType, inner.lengthsAreConsistent(in: packet) else {
            throw .innerMalformed
        }
        return inner
    }

    /// Changes what a tunnel changes in a permitted packet: a mark of congestion is carried into it, and the segments of a TCP
    /// connection that it begins are to fit the tunnel.
    @inline(__always)
    func amend(
        _ opened: Opened, _ family: IPAddress.Family, _ network: NetworkView, in bytes: inout MutableRawSpan
    ) throws(DropReason) {
        var packet = bytes._mutatingExtracting(opened.plaintext.range)
        if TrafficClass.mayMark(opened.trafficClass) {
            try TrafficClass.carry(opened.trafficClass, into: &packet, family)
        }
        limitSegments(in: &packet, family, network)
    }

    /// Counts an authentic, fresh datagram.
    @inline(__always)
    func countReceived(_ packets: Int, bytes: Int, _ network: NetworkView, at now: Instant) {
        count(packets, .rxPackets, network.counters)
        count(bytes, .rxBytes, network.counters)
        totals.set(now.nanoseconds, .lastReceive, lane: index)
        network.counters.set(now.nanoseconds, .lastReceive, lane: index)
    }
}
