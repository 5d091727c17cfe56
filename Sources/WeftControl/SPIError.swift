// SPDX-License-Identifier: Apache-2.0

/// Why a number is no SPI, or why none is left.
public enum SPIError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The low 31 bits of this number are zero.
    case reserved(UInt32)
    /// The counter isn't in ``SPI/counters``.
    case counterOutOfRange(UInt32)
    /// Every counter of this master key was given out.
    case exhausted(MasterKeyIndex)

    public var description: String {
        switch self {
        case .reserved(let number):
            "SPI \(number) is reserved: the low 31 bits must not be zero"
        case .counterOutOfRange(let counter):
            "SPI counter \(counter) is out of range: use \(SPI.counters.lowerBound) to \(SPI.counters.upperBound)"
        case .exhausted(let index):
            "no SPI is left for master key \(index.rawValue): end the session and begin a new one"
        }
    }
}
