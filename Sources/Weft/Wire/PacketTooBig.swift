// SPDX-License-Identifier: Apache-2.0

/// The ICMP message that tells an inner sender that its packet doesn't fit through the tunnel: destination
/// unreachable, fragmentation needed (RFC 1191) or packet too big (RFC 8201).
public enum PacketTooBig {
    /// The longest message: an IPv6 one quotes as much of the packet as fits into 1,280 bytes (RFC 4443 section 3.2).
    public static let maximumLength = 1280
    private static let v4Quote = 548

    /// Writes the message for `packet` into `output`, which has room for ``maximumLength`` bytes.
    ///
    /// It is sent in the name of the packet's destination, whose address routes back through the tunnel: an address
    /// of our own as the source would be dropped as martian.
    /// - Parameter mtu: what does fit, in bytes; IPv6 is told at least 1,280.
    /// - Returns: the message's length; nil where none may be sent: not IP, an IPv4 fragment but the first, multicast,
    ///   loopback or unspecified addresses, or itself an ICMP error or redirect (RFC 1122 section 3.2.2, RFC 4443
    ///   section 2.4). A multicast destination is among them, since the message could not be sent in its name.
    public static func write(for packet: RawSpan, mtu: Int, into output: inout MutableRawSpan) -> Int? {
        guard let inner = InnerPacket(packet), inner.lengthsAreConsistent(in: packet),
            !inner.source.isUnspecified, !inner.destination.isUnspecified, output.byteCount >= maximumLength
        else { return nil }
        switch inner.family {
        case .v4: return writeV4(packet, inner, mtu: mtu, into: &output)
        case .v6: return writeV6(packet, inner, mtu: mtu, into: &output)
        }
    }

    private static func writeV4(
        _ packet: RawSpan, _ inner: InnerPacket, mtu: Int, into output: inout MutableRawSpan
    ) -> Int? {
        let headerLength = Int(packet.load(at: 0, as: UInt8.self) & 0x0F) * 4
        guard packet.load(at: 6, as: UInt16.self) & 0x1FFF == 0, inner.source.v4Bits < 0xE000_0000,
            inner.destination.v4Bits < 0xE000_0000, inner.source.v4Bits >> 24 != 127
        else { return nil }
        if packet.load(at: 9, as: UInt8.self) == IPProtocol.icmp {
            // Only echo and its kin are no errors: a query's type.
            guard packet.byteCount > headerLength,
                [0, 8, 13, 14].contains(packet.load(at: headerLength, as: UInt8.self))
            else { return nil }
        }
        let quote = min(packet.byteCount, v4Quote)
        let total = 28 + quote
        output.store(0x45C0 as UInt16, at: 0)
        output.store(UInt16(total), at: 2)
        output.store(0 as UInt32, at: 4)
        output.store(0x4001_0000 as UInt32, at: 8)
        output.store(inner.destination, at: 12)
        output.store(inner.source, at: 16)
        output.store(Checksum.finish(Checksum.sum(output.bytes.extracting(0..<20))), at: 10)
        output.store(0x0304_0000 as UInt32, at: 20)
        output.store(UInt32(clamping: min(mtu, 0xFFFF)), at: 24)
        output.copy(packet.extracting(0..<quote), to: 28)
        output.store(Checksum.finish(Checksum.sum(output.bytes.extracting(20..<total))), at: 22)
        return total
    }

    private static func writeV6(
        _ packet: RawSpan, _ inner: InnerPacket, mtu: Int, into output: inout MutableRawSpan
    ) -> Int? {
        guard inner.source.high >> 56 != 0xFF, inner.destination.high >> 56 != 0xFF, !isICMPError(packet) else {
            return nil
        }
        let quote = min(packet.byteCount, maximumLength - 48)
        output.store(0x6000_0000 as UInt32, at: 0)
        output.store(UInt16(8 + quote), at: 4)
        output.store(UInt16(IPProtocol.icmpv6) << 8 | UInt16(OuterHeaders.hopLimit), at: 6)
        output.store(inner.destination, at: 8)
        output.store(inner.source, at: 24)
        output.store(0x0200_0000 as UInt32, at: 40)
        output.store(UInt32(clamping: max(mtu, 1280)), at: 44)
        output.copy(packet.extracting(0..<quote), to: 48)
        let pseudo = Checksum.pseudoHeader(
            inner.destination, inner.source, length: 8 + quote, proto: IPProtocol.icmpv6)
        output.store(
            Checksum.finish(Checksum.sum(output.bytes.extracting(40..<48 + quote), from: pseudo)), at: 42)
        return 48 + quote
    }

    /// Whether an IPv6 packet is an ICMP error or a redirect, or an ICMP message that ends before its type.
    private static func isICMPError(_ packet: RawSpan) -> Bool {
        var next = packet.load(at: 6, as: UInt8.self)
        var offset = InnerPacket.v6HeaderLength
        // Extension headers that an ICMP message may stand behind; each is at least 8 bytes long, so the walk ends.
        while [IPProtocol.hopByHop, IPProtocol.routing, IPProtocol.fragment, IPProtocol.destinationOptions].contains(
            next), offset + 8 <= packet.byteCount
        {
            if next == IPProtocol.fragment {
                // What follows a later fragment's header is no header.
                guard packet.load(at: offset + 2, as: UInt16.self) & 0xFFF8 == 0 else { return false }
            }
            let words = next == IPProtocol.fragment ? 0 : Int(packet.load(at: offset + 1, as: UInt8.self))
            next = packet.load(at: offset)
            offset += 8 + words * 8
        }
        guard next == IPProtocol.icmpv6 else { return false }
        guard offset < packet.byteCount else { return true }
        let type = packet.load(at: offset, as: UInt8.self)
        return type < 128 || type == 137
    }
}
