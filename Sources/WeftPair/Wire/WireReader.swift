// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftControl

/// Reads the values of one record, none of them beyond its end.
struct WireReader: ~Escapable {
    private let bytes: RawSpan
    private var offset = 0

    @_lifetime(copy bytes)
    init(_ bytes: RawSpan) { self.bytes = bytes }

    var left: Int { bytes.byteCount - offset }

    /// The next `count` bytes, without a copy.
    @_lifetime(copy self)
    mutating func span(_ count: Int) throws(WireError) -> RawSpan {
        guard count >= 0, count <= left else { throw .truncated }
        defer { offset += count }
        return bytes.extracting(offset..<offset + count)
    }

    mutating func number<Number: FixedWidthInteger & BitwiseCopyable>(
        _ type: Number.Type = Number.self
    ) throws(WireError) -> Number {
        let size = MemoryLayout<Number>.size
        guard size <= left else { throw .truncated }
        defer { offset += size }
        // Safe: the bytes are there, and an integer has no invalid bit pattern.
        return unsafe Number(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: Number.self))
    }

    mutating func flag() throws(WireError) -> Bool {
        switch try number(UInt8.self) {
        case 0: false
        case 1: true
        default: throw .invalid("a flag")
        }
    }

    mutating func array(_ count: Int) throws(WireError) -> [UInt8] {
        try span(count).copied
    }

    /// All that is left.
    mutating func rest() throws(WireError) -> [UInt8] { try array(left) }

    /// A text of at most `most` bytes; what isn't UTF-8 in it is replaced, and so is what a terminal or a log would obey.
    mutating func text(most: Int) throws(WireError) -> String {
        let count = Int(try number(UInt16.self))
        guard count <= most else { throw .invalid("a text of \(count) bytes") }
        let text = String(decoding: try array(count), as: UTF8.self)
        return String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { $0.properties.generalCategory == .control ? "?" : $0 }))
    }

    mutating func address() throws(WireError) -> IPAddress {
        switch try number(UInt8.self) {
        case 4: IPAddress(v4: try number())
        case 6: IPAddress(v6: try number(), try number())
        default: throw .invalid("an address family")
        }
    }

    mutating func endpoint() throws(WireError) -> Endpoint { Endpoint(try address(), port: try number()) }

    mutating func addressPair() throws(WireError) -> AddressPair {
        let remote = try endpoint()
        return AddressPair(remote, from: try optional { (reader) throws(WireError) in try reader.address() })
    }

    mutating func optional<Value>(
        _ read: (inout WireReader) throws(WireError) -> Value
    ) throws(WireError) -> Value? {
        try flag() ? try read(&self) : nil
    }

    mutating func prefix() throws(WireError) -> Prefix {
        let address = try address()
        guard let prefix = Prefix(address, length: Int(try number(UInt8.self))) else { throw .invalid("a prefix") }
        return prefix
    }

    mutating func instant() throws(WireError) -> Instant { Instant(nanoseconds: try number()) }

    mutating func network() throws(WireError) -> NetworkID {
        guard let network = NetworkID(rawValue: try number()) else { throw .invalid("a network") }
        return network
    }

    mutating func vni() throws(WireError) -> UInt32 {
        let vni: UInt32 = try number()
        guard NetworkID.vnis.contains(vni) else { throw .invalid("VNI \(vni)") }
        return vni
    }

    mutating func suite() throws(WireError) -> Suite {
        guard let suite = Suite(rawValue: try number()) else { throw .invalid("a suite") }
        return suite
    }

    /// A key of either suite's length, which goes into memory of its own; the message's bytes are its owner's to wipe.
    mutating func key() throws(WireError) -> PacketKey {
        let count = Int(try number(UInt8.self))
        let span = try span(count)
        guard let key = try? PacketKey(span) else { throw .invalid("a key of \(count) bytes") }
        return key
    }

    mutating func publicKey() throws(WireError) -> PublicKey {
        guard let key = try? PublicKey(subjectPublicKeyInfo: try array(PublicKey.byteCount)) else {
            throw .invalid("a public key")
        }
        return key
    }
}
