// SPDX-License-Identifier: Apache-2.0

/// What a datagram is, from its looks alone: nothing is authentic yet.
///
/// Any bytes at all have a verdict; making one allocates nothing.
public struct Identification: Hashable, Sendable, BitwiseCopyable {
    public let kind: PacketKind
    public let encapsulation: Encapsulation
    /// Where the packet of that kind begins, in bytes from the datagram's start: behind an envelope, else 0. Data's own
    /// Geneve header is part of its packet.
    public let payloadOffset: Int
    public let rule: IdentificationRule

    private init(
        _ kind: PacketKind, _ rule: IdentificationRule, encapsulation: Encapsulation = .none, payloadOffset: Int = 0
    ) {
        self.kind = kind
        self.encapsulation = encapsulation
        self.payloadOffset = payloadOffset
        self.rule = rule
    }

    // What Weft and ICX send: version 0, six words of options, critical; last a zero, which STUN's cookie has not.
    private static let canonicalData: UInt64 = 0x0640_0000_0000_0000
    private static let canonicalMask: UInt64 = 0xFFFF_0000_0000_00FF

    /// Whether the datagram of `count` bytes at `offset` begins as Weft's data does: the fast path, one load and one
    /// comparison. All other data is found by the rules.
    @inline(__always)
    static func isCanonicalData(_ bytes: RawSpan, at offset: Int, count: Int) -> Bool {
        count >= 8 && bytes.load(at: offset, as: UInt64.self) & canonicalMask == canonicalData
    }

    /// Identifies a datagram. The first rule that applies decides:
    /// 1. disco's magic;
    /// 2. bit 0x80 of byte 0: control;
    /// 3. byte 1 is 0x51: control, since our connection ids begin so;
    /// 4. STUN's cookie, two zero bits before all, and just its length (RFC 8489 section 5);
    /// 5. Geneve version 0 without reserved flags and with six words of options or more: data;
    /// 6. a Geneve envelope: what EtherType and payload say of it;
    /// 7. WireGuard's type, three zeros and the type's length;
    /// 8. the bits 01: control (RFC 9000 section 17.3).
    public init(of datagram: RawSpan) {
        self =
            Self.isCanonicalData(datagram, at: 0, count: datagram.byteCount)
            ? Identification(.data, .geneveOptions) : Self.byRules(datagram)
    }

    private static func byRules(_ datagram: RawSpan) -> Identification {
        guard datagram.byteCount > 0 else { return Identification(.unknown, .noRule) }
        if Disco.isLike(datagram) { return Identification(.disco, .discoMagic) }
        let first: UInt8 = datagram.load(at: 0)
        if first & 0x80 != 0 { return Identification(.control, .highBit) }
        let second: UInt8 = datagram.byteCount > 1 ? datagram.load(at: 1) : 0
        if second == connectionIDPrefix { return Identification(.control, .connectionID) }
        if STUNHeader.isLike(datagram) { return Identification(.stun, .stunCookie) }
        if datagram.byteCount > 1, first >> 6 == 0, second & 0x3F == 0, first & 0x3F >= dataOptionWords {
            return Identification(.data, .geneveOptions)
        }
        if let envelope = Envelope(datagram) { return inside(envelope, datagram) }
        if WireGuard.isLike(datagram) { return Identification(.wireGuard, .wireGuardType) }
        if first & 0x40 != 0 { return Identification(.control, .fixedBit) }
        return Identification(.unknown, .noRule)
    }

    /// What an envelope holds: its EtherType and its payload's looks must not disagree.
    private static func inside(_ envelope: Envelope, _ datagram: RawSpan) -> Identification {
        let payload = datagram.extracting(Envelope.length..<datagram.byteCount)
        let looks: PacketKind? = Disco.isLike(payload) ? .disco : WireGuard.isLike(payload) ? .wireGuard : nil
        let (kind, rule): (PacketKind, IdentificationRule) =
            switch (envelope.names, looks) {
            case (let named?, let looks?): named == looks ? (named, .envelopeAgrees) : (.unknown, .envelopeContradicts)
            case (let named?, nil): (named, .envelopeType)
            case (nil, let looks?): (looks, .envelopePayload)
            case (nil, nil): (.unknown, .envelopeSilent)
            }
        return Identification(
            kind, rule, encapsulation: .geneve(vni: envelope.vni), payloadOffset: Envelope.length)
    }

    /// The first byte of every QUIC connection id that we issue; short headers carry it in byte 1.
    public static let connectionIDPrefix: UInt8 = 0x51

    /// Words of options that no envelope has and all data has: a key epoch and a transmit counter.
    private static let dataOptionWords: UInt8 = 6
}
