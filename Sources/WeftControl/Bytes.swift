// SPDX-License-Identifier: Apache-2.0

/// The bytes of a number in network order.
func bigEndian<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
    (1...Number.bitWidth / 8).map { UInt8(truncatingIfNeeded: number >> Number(Number.bitWidth - $0 * 8)) }
}

extension Span<UInt8> {
    /// The number in network order at `offset`, where the caller has made sure that its bytes are there.
    func bigEndian<Number: FixedWidthInteger>(_ type: Number.Type = Number.self, at offset: Int) -> Number {
        (offset..<offset + Number.bitWidth / 8).reduce(0) { $0 << 8 | Number(self[$1]) }
    }
}

extension MutableSpan<UInt8> {
    /// A part to write to. The one place that names what the standard library hasn't settled a name for.
    @_lifetime(&self)
    mutating func part(_ range: Range<Int>) -> MutableSpan<UInt8> {
        _mutatingExtracting(range)
    }
}
