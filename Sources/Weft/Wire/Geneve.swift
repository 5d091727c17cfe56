// SPDX-License-Identifier: Apache-2.0

/// Geneve (RFC 8926) as ICX uses it: two options of class 0xFF00 that carry the SPI and the nonce, then the sealed packet.
public enum Geneve {
    /// The IANA port; ICX's data port as well.
    public static let port: UInt16 = 6081
    /// The header that Weft sends: 8 bytes fixed, 8 of key epoch, 16 of transmit counter.
    public static let headerLength = 32
    /// The AEAD's tag behind the ciphertext.
    public static let tagLength = 16
    /// What sealing adds to an inner packet, outer headers apart: 48 bytes.
    public static let overhead = headerLength + tagLength

    static let fixedLength = 8
    static let optionClass: UInt16 = 0xFF00
    static let epochType: UInt8 = 0x81
    static let counterType: UInt8 = 0x82
    static let epochWords = 1
    static let counterWords = 3
    static let criticalOptionBit: UInt8 = 0x80
    static let controlBit: UInt8 = 0x80

    /// The protocol types that may stand in a header.
    enum ProtocolType {
        static let ipv4 = EtherType.ipv4
        static let ipv6 = EtherType.ipv6
        /// An authenticated out-of-band message, such as a keep-alive.
        static let outOfBand: UInt16 = 0
    }

    /// A received header whose lengths and options were checked.
    struct Header: BitwiseCopyable {
        let protocolType: UInt16
        let vni: UInt32
        let spi: UInt32
        /// Where the 12-byte nonce stands, from the header's start.
        let nonceOffset: Int
        /// The whole header with its options: the associated data.
        let length: Int
    }

    /// Checks and reads the header at the start of a datagram.
    ///
    /// Options come in any order; each of ours at most once and with its exact length, of which the three reserved bits
    /// are ignored; the list fills the option length exactly; unknown options are skipped unless they are critical.
    @inline(__always)
    static func parse(_ datagram: RawSpan) throws(DropReason) -> Header {
        guard datagram.byteCount >= fixedLength else { throw .datagramTruncated }
        let first = datagram.load(at: 0, as: UInt64.self)
        guard first >> 62 == 0 else { throw .geneveVersion }
        guard first >> 48 & UInt64(controlBit) == 0 else { throw .geneveControl }
        let length = fixedLength + Int(first >> 56 & 0x3F) * 4
        guard datagram.byteCount >= length else { throw .datagramTruncated }
        let protocolType = UInt16(truncatingIfNeeded: first >> 32)
        let vni = UInt32(truncatingIfNeeded: first >> 8) & 0xFF_FFFF

        // What Weft and ICX send is recognised by two loads; the loop below is for everything else.
        if length == headerLength,
            datagram.load(at: 8, as: UInt32.self) & ~0xE0 == canonicalEpoch,
            datagram.load(at: 16, as: UInt32.self) & ~0xE0 == canonicalCounter
        {
            return Header(
                protocolType: protocolType, vni: vni, spi: datagram.load(at: 12), nonceOffset: 20, length: length)
        }
        return try parseOptions(datagram, protocolType: protocolType, vni: vni, length: length)
    }

    private static let canonicalEpoch = UInt32(optionClass) << 16 | UInt32(epochType) << 8 | UInt32(epochWords)
    private static let canonicalCounter = UInt32(optionClass) << 16 | UInt32(counterType) << 8 | UInt32(counterWords)

    private static func parseOptions(
        _ datagram: RawSpan, protocolType: UInt16, vni: UInt32, length: Int
    ) throws(DropReason) -> Header {
        var spi: UInt32?
        var nonceOffset: Int?
        var offset = fixedLength
        while offset < length {
            guard length - offset >= 4 else { throw .geneveOptions }
            let optionClass: UInt16 = datagram.load(at: offset)
            let type: UInt8 = datagram.load(at: offset + 2)
            let words = Int(datagram.load(at: offset + 3, as: UInt8.self) & 0x1F)
            let value = offset + 4
            offset = value + words * 4
            guard offset <= length else { throw .geneveOptions }
            switch (optionClass, type) {
            case (Self.optionClass, epochType):
                guard spi == nil, words == epochWords else { throw .geneveOptions }
                spi = datagram.load(at: value)
            case (Self.optionClass, counterType):
                guard nonceOffset == nil, words == counterWords else { throw .geneveOptions }
                nonceOffset = value
            default:
                guard type & criticalOptionBit == 0 else { throw .geneveCriticalOption }
            }
        }
        guard let spi, let nonceOffset else { throw .geneveOptions }
        return Header(protocolType: protocolType, vni: vni, spi: spi, nonceOffset: nonceOffset, length: length)
    }
}
