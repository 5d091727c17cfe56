// SPDX-License-Identifier: Apache-2.0
import Glibc

// Raw loads are the only way into a `RawSpan`. They stand here, behind accessors that can't be misused: the load itself
// checks the bounds, and an integer has no invalid bit pattern. A parser checks a span's length once and then reads.

extension RawSpan {
    /// A copy of the bytes.
    package var copied: [UInt8] {
        // Safe: the bytes are lent for the call.
        unsafe withUnsafeBytes { unsafe Array($0) }
    }

    /// The big-endian (network order) integer at `offset`. Traps beyond the span: check `byteCount` first.
    @inline(__always)
    func load<Value: FixedWidthInteger & BitwiseCopyable>(at offset: Int, as type: Value.Type = Value.self) -> Value {
        unsafe Value(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: Value.self))
    }

    /// The IPv4 address at `offset` (4 bytes).
    @inline(__always)
    func v4Address(at offset: Int) -> IPAddress { IPAddress(v4: load(at: offset)) }

    /// The IPv6 address at `offset` (16 bytes).
    @inline(__always)
    func v6Address(at offset: Int) -> IPAddress { IPAddress(v6: load(at: offset), load(at: offset + 8)) }

    /// The MAC address at `offset` (6 bytes).
    @inline(__always)
    func macAddress(at offset: Int) -> MACAddress {
        MACAddress(
            bits: UInt64(load(at: offset, as: UInt16.self)) << 32 | UInt64(load(at: offset + 2, as: UInt32.self)))
    }
}

extension MutableRawSpan {
    /// Stores `value` in network order at `offset`. Traps beyond the span.
    @inline(__always)
    mutating func store<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value, at offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: Value.self)
    }

    /// Stores an address's 4 or 16 bytes at `offset`.
    @inline(__always)
    mutating func store(_ address: IPAddress, at offset: Int) {
        switch address.family {
        case .v4:
            store(address.v4Bits, at: offset)
        case .v6:
            store(address.high, at: offset)
            store(address.low, at: offset + 8)
        }
    }

    /// Stores a MAC address's 6 bytes at `offset`.
    @inline(__always)
    mutating func store(_ address: MACAddress, at offset: Int) {
        store(UInt16(truncatingIfNeeded: address.bits >> 32), at: offset)
        store(UInt32(truncatingIfNeeded: address.bits), at: offset + 2)
    }

    /// Copies all of `source` to `offset`. Traps when it doesn't fit.
    @inline(__always)
    package mutating func copy(_ source: RawSpan, to offset: Int) {
        precondition(offset >= 0 && source.byteCount <= byteCount - offset)
        unsafe withUnsafeMutableBytes { target in
            unsafe source.withUnsafeBytes { bytes in
                // Safe: the precondition keeps the copy inside both; memmove allows that they overlap.
                guard let to = target.baseAddress, let from = bytes.baseAddress else { return }
                _ = unsafe memmove(to + offset, from, bytes.count)
            }
        }
    }
}
