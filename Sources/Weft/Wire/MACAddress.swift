// SPDX-License-Identifier: Apache-2.0

/// An IEEE 802 MAC address, as the low 48 bits of an integer.
public struct MACAddress: Hashable, Sendable, BitwiseCopyable, CustomStringConvertible {
    /// The six bytes in network order, in the low 48 bits.
    public let bits: UInt64

    public init(bits: UInt64) { self.bits = bits & 0xFFFF_FFFF_FFFF }

    /// Parses six pairs of hexadecimal digits, with colons or without: `02:00:5e:10:00:01`.
    public init?(_ text: String) {
        let separated = text.utf8.count == 17
        guard separated || text.utf8.count == 12 else { return nil }
        var bits: UInt64 = 0
        for (position, character) in text.utf8.enumerated() {
            if separated, position % 3 == 2 {
                guard character == UInt8(ascii: ":") else { return nil }
            } else {
                guard let digit = Character(UnicodeScalar(character)).hexDigitValue else { return nil }
                bits = bits << 4 | UInt64(digit)
            }
        }
        self.init(bits: bits)
    }

    public var description: String {
        (0..<6).map { index in
            let byte = UInt8(truncatingIfNeeded: bits >> UInt64(40 - index * 8))
            return (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined(separator: ":")
    }
}
