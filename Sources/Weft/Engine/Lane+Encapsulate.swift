// SPDX-License-Identifier: Apache-2.0

extension Lane {
    /// Seals one packet (layer 3) or frame (layer 2) from one buffer into another.
    ///
    /// - Parameters:
    ///   - packet: what the overlay handed over; stays as it is.
    ///   - output: gets the datagram or frame from its first byte on, or a reply.
    public mutating func encapsulate(
        _ packet: RawSpan, into output: inout MutableRawSpan, as framing: Framing, at now: Instant
    ) -> Outcome {
        var network: CounterBlocks.View?
        do throws(DropReason) {
            switch try classify(packet) {
            case .arpRequest(let request):
                return try reply(to: request, isARP: true, into: &output, at: 0)
            case .solicitation(let request):
                return try reply(to: request, isARP: false, into: &output, at: 0)
            case .forward(let plan):
                let target = view.networks[plan.slot]
                network = target.counters
                let outer = try outerLength(of: plan.slot, framing, inner: plan.packet.count)
                let total = outer + Geneve.overhead + plan.packet.count
                guard total <= output.byteCount else { throw .noRoom }
                let port = sourcePort(for: packet.extracting(plan.packet.range))
                let association = try transmitSA(of: target, at: now)
                let counters = association.reserve(1)
                guard !counters.isEmpty else { throw association.lackOfCounters }
                let text = outer + Geneve.headerLength
                let family: IPAddress.Family = plan.protocolType == EtherType.ipv4 ? .v4 : .v6
                let isCopied = MaximumSegmentSize.mayBeSaid(in: packet.extracting(plan.packet.range), family)
                if isCopied {
                    output.copy(packet.extracting(plan.packet.range), to: text)
                    var copy = output._mutatingExtracting(text..<text + plan.packet.count)
                    limitSegments(in: &copy, family, target)
                }
                // Safe: `plan` lies within the packet, and the output has room for the total.
                let sealed = unsafe packet.withUnsafeBytes { source in
                    unsafe output.withUnsafeMutableBytes { bytes in
                        guard let from = source.baseAddress, let to = bytes.baseAddress else { return false }
                        return unsafe seal(
                            isCopied ? UnsafeRawPointer(to + text) : from + plan.packet.offset,
                            count: plan.packet.count, protocolType: plan.protocolType,
                            with: association, counter: counters.lowerBound,
                            to: to + outer)
                    }
                }
                return try finish(
                    sealed, target, plan, start: 0, outer: outer, framing, port: port, in: &output)
            }
        } catch {
            count(error, network)
            return .dropped(error)
        }
    }

    /// Seals one packet or frame where it stands.
    ///
    /// - Parameters:
    ///   - buffer: needs ``headroom(for:)`` bytes in front of the packet (less the Ethernet header in layer 2 mode) and
    ///     ``Geneve/tagLength`` behind it.
    ///   - range: where the packet stands in the buffer.
    /// - Returns: where the datagram, frame or reply stands in the buffer.
    public mutating func encapsulate(
        inPlace buffer: inout MutableRawSpan, packet range: Range<Int>, as framing: Framing, at now: Instant
    ) -> Outcome {
        var network: CounterBlocks.View?
        lastIsTooLong = false
        do throws(DropReason) {
            guard range.lowerBound >= 0, range.upperBound <= buffer.byteCount else { throw .noRoom }
            switch try classify(buffer.bytes.extracting(range)) {
            case .arpRequest(let request):
                return try reply(to: request, isARP: true, into: &buffer, at: range.lowerBound)
            case .solicitation(let request):
                return try reply(to: request, isARP: false, into: &buffer, at: range.lowerBound)
            case .forward(let plan):
                let target = view.networks[plan.slot]
                network = target.counters
                var framing = framing
                if framing == .frame, sealsDatagramsWithoutPath, target.path == nil { framing = .datagram }
                lastLongestPacket = target.longestPacket
                lastIsTooLong = plan.packet.count > lastLongestPacket
                if lastIsTooLong {
                    guard sealsDatagramsWithoutPath, plan.packet.count <= Self.longestFragmentedPacket else {
                        throw .noRoom
                    }
                    framing = .datagram
                }
                lastEndpoint = framing == .datagram ? target.endpoint : nil
                lastLocalAddress = target.local
                lastTrafficClass = plan.trafficClass & copiedClass(to: target)
                let outer = try outerLength(of: plan.slot, framing, inner: plan.packet.count)
                let text = range.lowerBound + plan.packet.offset
                let start = text - Geneve.headerLength - outer
                guard start >= 0, buffer.byteCount - range.upperBound >= Geneve.tagLength else { throw .noRoom }
                let port = sourcePort(for: buffer.bytes.extracting(text..<range.upperBound))
                let association = try transmitSA(of: target, at: now)
                let counters = association.reserve(1)
                guard !counters.isEmpty else { throw association.lackOfCounters }
                var packet = buffer._mutatingExtracting(text..<range.upperBound)
                limitSegments(in: &packet, plan.protocolType == EtherType.ipv4 ? .v4 : .v6, target)
                // Safe: the guards leave room for the header in front and the tag behind.
                let sealed = unsafe buffer.withUnsafeMutableBytes { bytes in
                    guard let base = bytes.baseAddress else { return false }
                    return unsafe seal(
                        base + text, count: plan.packet.count, protocolType: plan.protocolType,
                        with: association, counter: counters.lowerBound,
                        to: base + start + outer)
                }
                return try finish(
                    sealed, target, plan, start: start, outer: outer, framing, port: port, in: &buffer)
            }
        } catch {
            count(error, network)
            return .dropped(error)
        }
    }

    /// Bytes in front of an IP packet that sealing it in place needs, for either family of underlay.
    public static func headroom(for framing: Framing) -> Int {
        Geneve.headerLength + (framing == .frame ? OuterHeaders.length(.v6) : 0)
    }

    /// Bytes in front of the Geneve header; checks that the underlay's addresses are known, and that the outer headers
    /// can say how long a datagram with `count` inner bytes is.
    @inline(__always)
    func outerLength(
        of slot: Int, _ framing: Framing, inner count: Int
    ) throws(DropReason) -> Int {
        guard let endpoint = view.networks[slot].endpoint else { throw .noUnderlayAddress }
        guard framing == .frame else { return 0 }
        guard view.networks[slot].path != nil else { throw .noUnderlayAddress }
        guard Geneve.overhead + count <= OuterHeaders.largestDatagram(endpoint.address.family) else { throw .noRoom }
        return OuterHeaders.length(endpoint.address.family)
    }

    @inline(__always)
    private func sourcePort(for packet: RawSpan) -> UInt16 {
        engine.configuration.hashesSourcePort
            ? FlowHash.port(of: engine.flowHash.hash(packet)) : engine.configuration.port
    }

    @inline(__always)
    private mutating func finish(
        _ sealed: Bool, _ network: NetworkView, _ plan: Classified, start: Int, outer: Int, _ framing: Framing,
        port: UInt16, in buffer: inout MutableRawSpan
    ) throws(DropReason) -> Outcome {
        guard sealed else { throw .noTransmitKey }
        let length = Geneve.overhead + plan.packet.count
        if framing == .frame {
            try writeOuter(
                of: plan.slot, datagram: length, port: port, trafficClass: plan.trafficClass & copiedClass(to: network),
                into: &buffer, at: start)
        }
        lastNetwork = network.id
        count(1, .txPackets, network.counters)
        count(plan.packet.count, .txBytes, network.counters)
        return .forward(start..<start + outer + length)
    }

    func writeOuter(
        of slot: Int, datagram length: Int, port: UInt16, trafficClass: UInt8 = 0, into buffer: inout MutableRawSpan,
        at start: Int
    ) throws(DropReason) {
        guard let endpoint = view.networks[slot].endpoint, let path = view.networks[slot].path else {
            throw .noUnderlayAddress
        }
        OuterHeaders.write(
            into: &buffer, at: start, datagram: length,
            from: .init(endpoint: Endpoint(path.local, port: port), mac: path.localMAC),
            to: .init(endpoint: endpoint, mac: path.nextHopMAC), trafficClass: trafficClass,
            udpChecksum: engine.configuration.outerUDPChecksum)
    }

    private func reply(
        to request: NeighborProxy.Request, isARP: Bool, into buffer: inout MutableRawSpan, at start: Int
    ) throws(DropReason) -> Outcome {
        guard case .layer2(let mac, _) = mode else { throw .overlayNotIP }
        let length = isARP ? NeighborProxy.arpReplyLength : NeighborProxy.advertisementLength
        guard buffer.byteCount - start >= length else { throw .noRoom }
        if isARP {
            NeighborProxy.writeReply(to: request, from: mac, into: &buffer, at: start)
        } else {
            NeighborProxy.writeAdvertisement(to: request, from: mac, into: &buffer, at: start)
        }
        totals.add(1, to: Counter.localReplies, lane: index)
        return .reply(start..<start + length)
    }
}
