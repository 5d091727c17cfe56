// SPDX-License-Identifier: Apache-2.0

/// STUN's header (RFC 8489 section 5).
public enum STUNHeader {
    /// Type, length, cookie, transaction id.
    public static let length = 20
    public static let cookie: UInt32 = 0x2112_A442

    /// A message fills its datagram, and its attributes whole words. So a WireGuard packet whose receiver index
    /// happens to be the cookie is no STUN.
    @inline(__always)
    static func isLike(_ datagram: RawSpan) -> Bool {
        guard datagram.byteCount >= length else { return false }
        let first: UInt32 = datagram.load(at: 0)
        let attributes = Int(first & 0xFFFF)
        return first >> 30 == 0 && attributes % 4 == 0 && length + attributes == datagram.byteCount
            && datagram.load(at: 4, as: UInt32.self) == cookie
    }
}
