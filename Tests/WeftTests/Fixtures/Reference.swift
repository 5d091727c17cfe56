// SPDX-License-Identifier: Apache-2.0
@testable import Weft

/// What the code under test is compared with: slow, and simple enough to be right.
enum Reference {
    /// The ones' complement sum of 16-bit words (RFC 1071), an odd last byte padded with zero. 0xFFFF over a whole
    /// message with its checksum.
    static func sum(_ bytes: some Sequence<UInt8>) -> UInt16 {
        var sum: UInt32 = 0
        for (index, byte) in bytes.enumerated() {
            sum += UInt32(byte) << (index % 2 == 0 ? 8 : 0)
            sum = (sum & 0xFFFF) + (sum >> 16)
        }
        return UInt16(sum)
    }

    /// The bytes of an IPv6 pseudo-header (RFC 8200 section 8.1), or IPv4's for UDP, which sums to the same form.
    static func pseudoHeader(_ source: [UInt8], _ destination: [UInt8], length: Int, proto: UInt8) -> [UInt8] {
        source + destination + Packets.big(UInt32(length)) + [0, 0, 0, proto]
    }

    /// Whether a prefix covers an address: nothing is left of their difference once its host bits are shifted out.
    static func covers(_ prefix: Prefix, _ address: IPAddress) -> Bool {
        guard prefix.family == address.family else { return false }
        let high = prefix.address.high ^ address.high
        let low = prefix.address.low ^ address.low
        if prefix.length <= 64 { return high >> UInt64(64 - prefix.length) == 0 }
        return high == 0 && low >> UInt64(128 - prefix.length) == 0
    }
}
