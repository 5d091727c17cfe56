// SPDX-License-Identifier: Apache-2.0

extension Lane {
    /// Where a packet from the overlay goes.
    struct Classified: BitwiseCopyable {
        /// The network's slot in this lane's snapshot.
        var slot: Int
        /// The inner packet's place in what the overlay handed over: behind the Ethernet header in layer 2 mode.
        var packet: PacketRange
        var protocolType: UInt16
        /// The inner packet's.
        var trafficClass: UInt8
    }

    enum Verdict {
        case forward(Classified)
        case arpRequest(NeighborProxy.Request)
        case solicitation(NeighborProxy.Request)
    }

    /// Looks at what the overlay handed over and finds its network.
    @inline(__always)
    func classify(_ bytes: RawSpan) throws(DropReason) -> Verdict {
        guard let (offset, inner) = try innerPacket(bytes) else { return try proxied(bytes) }
        guard let slot = view.routes.slot(from: inner.source, to: inner.destination) else {
            throw .noRoute
        }
        return .forward(
            Classified(
                slot: slot, packet: PacketRange(offset: offset, count: bytes.byteCount - offset),
                protocolType: inner.protocolType,
                trafficClass: TrafficClass.of(bytes.extracting(offset...), inner.family)))
    }

    /// The IP packet in what the overlay handed over, and where it begins; nil for what is not to be forwarded as it is:
    /// in layer 2 mode ARP, neighbour solicitations, and what is not IP at all.
    @inline(__always)
    func innerPacket(_ bytes: RawSpan) throws(DropReason) -> (offset: Int, InnerPacket)? {
        var offset = 0
        if case .layer2 = mode {
            guard bytes.byteCount >= OuterHeaders.ethernetLength else { throw .overlayMalformed }
            offset = OuterHeaders.ethernetLength
            switch bytes.load(at: 12, as: UInt16.self) {
            case EtherType.ipv4: break
            case EtherType.ipv6:
                switch NeighborProxy.solicitation(bytes) {
                case .solicitation: return nil
                case .notAnswered: throw .neighborNotAnswered
                case .arpRequest, .other: break
                }
            default: return nil
            }
        }
        let packet = bytes.extracting(offset...)
        guard let inner = InnerPacket(packet), inner.lengthsAreConsistent(in: packet),
            offset == 0 || bytes.load(at: 12, as: UInt16.self) == inner.protocolType
        else { throw .overlayMalformed }
        return (offset, inner)
    }

    /// What a frame that is not forwarded asks for.
    func proxied(_ bytes: RawSpan) throws(DropReason) -> Verdict {
        let verdict: NeighborProxy.Verdict
        switch bytes.load(at: 12, as: UInt16.self) {
        case EtherType.arp: verdict = NeighborProxy.arp(bytes)
        case EtherType.ipv6: verdict = NeighborProxy.solicitation(bytes)
        default: throw .overlayNotIP
        }
        switch verdict {
        case .arpRequest(let request): return .arpRequest(request)
        case .solicitation(let request): return .solicitation(request)
        case .notAnswered: throw .neighborNotAnswered
        case .other: throw .overlayNotIP
        }
    }

    /// The SA that a network sends with now.
    @inline(__always)
    func transmitSA(of network: NetworkView, at now: Instant) throws(DropReason) -> NetworkView.Transmit {
        guard let association = network.transmit else { throw .noTransmitKey }
        guard now <= association.expiry else { throw .transmitKeyExpired }
        return association
    }

    /// Writes the Geneve header: ``Geneve/headerLength`` bytes, which must be there.
    @inline(__always)
    func writeHeader(
        protocolType: UInt16, with association: NetworkView.Transmit, counter: UInt64,
        to header: UnsafeMutableRawPointer
    ) {
        // Four wide stores make the whole header: version and option length, critical bit, protocol, VNI; the key
        // epoch's option; the transmit counter's option with the nonce, which is SPI and counter.
        let spi = UInt64(association.spi)
        let first = 0x0640_0000_0000_0000 | UInt64(protocolType) << 32 | UInt64(association.vni) << 8
        unsafe header.storeBytes(of: first.bigEndian, as: UInt64.self)
        unsafe header.storeBytes(of: (0xFF00_8101_0000_0000 | spi).bigEndian, toByteOffset: 8, as: UInt64.self)
        unsafe header.storeBytes(of: (0xFF00_8203_0000_0000 | spi).bigEndian, toByteOffset: 16, as: UInt64.self)
        unsafe header.storeBytes(of: counter.bigEndian, toByteOffset: 24, as: UInt64.self)
    }

    /// Seals `count` bytes from `source` behind a header that was written: ``Geneve/overhead`` bytes more than the
    /// packet, header included, which must be there. Source and target may be the same place.
    @inline(__always)
    mutating func sealText(
        _ source: UnsafeRawPointer, count: Int, with association: NetworkView.Transmit,
        behind header: UnsafeMutableRawPointer
    ) -> Bool {
        let text = unsafe header + Geneve.headerLength
        let job = unsafe PacketCipher.Job(
            key: association.key, nonce: UnsafeRawPointer(header + 20), associatedData: UnsafeRawPointer(header),
            associatedCount: Geneve.headerLength, input: source, output: text, count: count)
        return unsafe cipher.seal(job, tag: text + count)
    }

    /// Writes the Geneve header at `header` and seals a packet behind it.
    @inline(__always)
    mutating func seal(
        _ source: UnsafeRawPointer, count: Int, protocolType: UInt16, with association: NetworkView.Transmit,
        counter: UInt64, to header: UnsafeMutableRawPointer
    ) -> Bool {
        unsafe writeHeader(protocolType: protocolType, with: association, counter: counter, to: header)
        return unsafe sealText(source, count: count, with: association, behind: header)
    }
}
