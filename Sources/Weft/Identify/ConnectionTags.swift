// SPDX-License-Identifier: Apache-2.0

/// Tells control datagrams of those who know this end from strangers', by a tag in the connection id that they call
/// (docs/weft-1.md): who has none gets no answer.
public struct ConnectionTags: Hashable, Sendable {
    /// Bytes of an id that we give out: the first byte of all of ours, nine random ones, a tag.
    public static let idByteCount = 18
    /// Bytes of the first id that a caller names: eight random ones, a tag.
    public static let callByteCount = 16

    /// Tags ids that we give out: a secret of one endpoint.
    public let own: TagKey
    /// Tags the first id of who calls us: known to all who know our public key.
    public let call: TagKey

    public init(own: TagKey, call: TagKey) {
        self.own = own
        self.call = call
    }

    /// What a datagram's destination shows, with nothing authentic about it but that.
    public enum Verdict: Hashable, Sendable {
        /// It names an id that we gave out.
        case ours
        /// It calls us, and knows our public key.
        case call
        /// A short packet for none of our ids: a stateless reset looks so (RFC 9000, section 10.3).
        case maybeReset
        case stranger
    }

    /// Bytes in the shortest datagram that QUIC could have sent us.
    private static let shortest = 21
    /// Where an id stands in a long header: behind first byte, version and length.
    private static let longIDOffset = 6

    /// Any bytes at all have a verdict; making one allocates nothing.
    public func judge(_ datagram: RawSpan) -> Verdict {
        guard datagram.byteCount >= Self.shortest else { return .stranger }
        let first: UInt8 = datagram.load(at: 0)
        guard first & 0x80 != 0 else {
            return isOwn(datagram.extracting(1..<1 + Self.idByteCount)) ? .ours : .maybeReset
        }
        let count = Int(datagram.load(at: 5, as: UInt8.self))
        guard count == Self.idByteCount || count == Self.callByteCount,
            datagram.byteCount >= Self.longIDOffset + count
        else { return .stranger }
        let id = datagram.extracting(Self.longIDOffset..<Self.longIDOffset + count)
        if isOwn(id) { return .ours }
        return isCall(id) ? .call : .stranger
    }

    /// Whether an id is one that we gave out.
    public func isOwn(_ id: RawSpan) -> Bool { id.byteCount == Self.idByteCount && Self.isTagged(id, by: own) }

    /// Whether an id is one that a caller named who knows our public key.
    public func isCall(_ id: RawSpan) -> Bool { id.byteCount == Self.callByteCount && Self.isTagged(id, by: call) }

    /// A new id of ours.
    public func makeID() -> [UInt8] {
        Self.tagged(
            [Identification.connectionIDPrefix]
                + (1..<Self.idByteCount - TagKey.tagByteCount).map { _ in UInt8.random(in: 0...255) }, by: own)
    }

    /// A first id for a call.
    /// - Parameter key: made from the called end's public key.
    public static func makeCall(_ key: TagKey) -> [UInt8] {
        tagged((0..<callByteCount - TagKey.tagByteCount).map { _ in UInt8.random(in: 0...255) }, by: key)
    }

    private static func tagged(_ bytes: [UInt8], by key: TagKey) -> [UInt8] {
        let tag = unsafe key.tag(of: bytes.span.bytes)
        return bytes + (0..<8).map { UInt8(truncatingIfNeeded: tag >> (8 * UInt64($0))) }
    }

    @inline(__always)
    private static func isTagged(_ id: RawSpan, by key: TagKey) -> Bool {
        let start = id.byteCount - TagKey.tagByteCount
        let tag = id.load(at: start, as: UInt64.self).byteSwapped
        // One comparison of whole words: its time tells nothing.
        return tag ^ key.tag(of: id.extracting(0..<start)) == 0
    }
}
