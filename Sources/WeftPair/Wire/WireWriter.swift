// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftControl

/// Writes the values of one record into a message's memory. What doesn't fit makes it overflow, and the record is none.
struct WireWriter: ~Copyable, ~Escapable {
    private var bytes: MutableRawSpan
    private(set) var count = 0
    private(set) var hasOverflown = false

    @_lifetime(copy bytes)
    init(_ bytes: consuming MutableRawSpan) { self.bytes = bytes }

    mutating func number<Number: FixedWidthInteger & BitwiseCopyable>(_ value: Number) {
        let size = MemoryLayout<Number>.size
        guard !hasOverflown, bytes.byteCount - count >= size else { return hasOverflown = true }
        bytes.storeBytes(of: value.littleEndian, toByteOffset: count, as: Number.self)
        count += size
    }

    mutating func flag(_ value: Bool) { number(UInt8(value ? 1 : 0)) }

    mutating func array(_ values: [UInt8]) {
        unsafe span(values.span.bytes)
    }

    mutating func span(_ values: RawSpan) {
        guard !hasOverflown, bytes.byteCount - count >= values.byteCount else { return hasOverflown = true }
        bytes.copy(values, to: count)
        count += values.byteCount
    }

    /// At most `most` bytes of a text.
    mutating func text(_ text: String, most: Int) {
        let bytes = Array(text.utf8.prefix(most))
        number(UInt16(bytes.count))
        array(bytes)
    }

    mutating func address(_ address: IPAddress) {
        number(address.family.rawValue)
        switch address.family {
        case .v4: number(address.v4Bits)
        case .v6:
            number(address.high)
            number(address.low)
        }
    }

    mutating func endpoint(_ endpoint: Endpoint) {
        address(endpoint.address)
        number(endpoint.port)
    }

    mutating func addressPair(_ pair: AddressPair) {
        endpoint(pair.remote)
        optional(pair.local) { $0.address($1) }
    }

    mutating func optional<Value>(_ value: Value?, _ write: (inout WireWriter, Value) -> Void) {
        flag(value != nil)
        if let value { write(&self, value) }
    }

    mutating func prefix(_ prefix: Prefix) {
        address(prefix.address)
        number(UInt8(prefix.length))
    }

    mutating func instant(_ instant: Instant) { number(instant.nanoseconds) }

    mutating func key(_ key: PacketKey) {
        key.withBytes { bytes in
            number(UInt8(bytes.byteCount))
            span(bytes)
        }
    }

    mutating func publicKey(_ key: PublicKey) { array(key.subjectPublicKeyInfo) }
}
