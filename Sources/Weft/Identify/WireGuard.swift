// SPDX-License-Identifier: Apache-2.0

/// WireGuard's four messages.
enum WireGuard {
    /// A little-endian type and three reserved zeros stand first.
    @inline(__always)
    static func isLike(_ packet: RawSpan) -> Bool {
        guard packet.byteCount >= 4 else { return false }
        return switch packet.load(at: 0, as: UInt32.self) {
        // Handshake initiation, handshake response, cookie reply.
        case 0x0100_0000: packet.byteCount == 148
        case 0x0200_0000: packet.byteCount == 92
        case 0x0300_0000: packet.byteCount == 64
        // Transport data: a header and a tag at least. A packet as long as the MTU is not padded to 16 bytes.
        case 0x0400_0000: packet.byteCount >= 32
        default: false
        }
    }
}
