// SPDX-License-Identifier: Apache-2.0

/// The number of one SA, given out by the end that receives with it.
///
/// Bit 31 is the master key's index, bit 30 the role of the end that gave it out, and the rest a counter. The role's
/// bit is what keeps the two ends from ever deriving the same key for both directions.
public struct SPI: Hashable, Sendable, CustomStringConvertible {
    /// What an ``SPIAllocator`` counts through.
    public static let counters: ClosedRange<UInt32> = 1...(1 << 30) - 1

    /// All 32 bits, as on the wire.
    public let rawValue: UInt32

    /// An SPI as a peer sent it. Throws ``SPIError/reserved(_:)`` if the low 31 bits are zero.
    ///
    /// A zero counter with the responder's bit is let through: the protocol reserves only the low 31 bits.
    public init(rawValue: UInt32) throws(SPIError) {
        guard rawValue << 1 != 0 else { throw .reserved(rawValue) }
        self.rawValue = rawValue
    }

    /// An SPI from its parts. Throws ``SPIError/counterOutOfRange(_:)`` unless the counter is in ``counters``.
    public init(masterKeyIndex: MasterKeyIndex, role: Role, counter: UInt32) throws(SPIError) {
        guard Self.counters.contains(counter) else { throw .counterOutOfRange(counter) }
        rawValue = UInt32(masterKeyIndex.rawValue) << 31 | UInt32(role.rawValue) << 30 | counter
    }

    public var masterKeyIndex: MasterKeyIndex { rawValue >> 31 == 0 ? .first : .second }

    /// The role of the end that gave this SPI out, which is the end that receives with it.
    public var role: Role { rawValue >> 30 & 1 == 0 ? .initiator : .responder }

    /// 0 to 2^30 - 1.
    public var counter: UInt32 { rawValue & Self.counters.upperBound }

    /// Eight hexadecimal digits after `0x`.
    public var description: String {
        let digits = String(rawValue, radix: 16)
        return "0x" + String(repeating: "0", count: 8 - digits.count) + digits
    }
}
