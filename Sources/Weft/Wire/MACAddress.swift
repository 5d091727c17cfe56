// SPDX-License-Identifier: Apache-2.0

/// An IEEE 802 MAC address, as the low 48 bits of an integer.
public struct MACAddress: Hashable, Sendable, CustomStringConvertible {
    /// The six bytes in network order, in the low 48 bits.
    public let bits: UInt64

    public init(bits: UInt64) { self.bits = bits & 0xFFFF_FFFF_FFFF }

    /// Parses six pairs of hexadecimal digits, with colons or without: `02:00:5e:10:00:01`.
    public init?(_ text: String) {
        let digits = text.utf8.filter { $0 != UInt8(ascii: ":") }
        guard digits.count == 12, !digits.contains(UInt8(ascii: "+")), !digits.contains(UInt8(ascii: "-")),
            let bits = UInt64(String(decoding: digits, as: UTF8.self), radix: 16)
        else { return nil }
        self.init(bits: bits)
    }

    public var description: String {
        (0..<6).map { index in
            let byte = UInt8(truncatingIfNeeded: bits >> UInt64(40 - index * 8))
            return (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined(separator: ":")
    }
}
