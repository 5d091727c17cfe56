// SPDX-License-Identifier: Apache-2.0
import WeftTestSupport

@testable import Weft

/// Inner packets and frames to feed to an engine.
enum Packets {
    /// A UDP packet of `count` bytes, 28 or 48 at least, between two addresses of one family.
    static func udp(
        _ source: IPAddress, _ destination: IPAddress, count: Int, ports: (UInt16, UInt16) = (1000, 2000)
    ) -> [UInt8] {
        var packet: [UInt8]
        switch source.family {
        case .v4:
            packet = [0x45, 0] + big(UInt16(count)) + [0, 0, 0x40, 0, 64, IPProtocol.udp, 0, 0]
        case .v6:
            packet = [0x60, 0, 0, 0] + big(UInt16(count - 40)) + [IPProtocol.udp, 64]
        }
        packet += source.bytes + destination.bytes + big(ports.0) + big(ports.1)
        packet += (packet.count..<max(count, packet.count)).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        return packet
    }

    /// A packet from a side of the overlay to the other, between its first hosts.
    static func udp(from side: End.Side, _ family: IPAddress.Family = .v4, count: Int = 100) -> [UInt8] {
        udp(host(side, family), host(side.other, family), count: count)
    }

    /// A host of a side's overlay prefix.
    static func host(_ side: End.Side, _ family: IPAddress.Family, _ number: UInt16 = 1) -> IPAddress {
        let address = side.prefix(family).address
        return family == .v4
            ? IPAddress(v4: address.v4Bits | UInt32(number)) : IPAddress(v6: address.high, UInt64(number))
    }

    /// A packet from a side to the other with random hosts, ports, payload and length, `28...longest` bytes or more.
    static func random(
        from side: End.Side, _ family: IPAddress.Family, longest: Int, using generator: inout some RandomNumberGenerator
    ) -> [UInt8] {
        let shortest = family == .v4 ? 28 : 48
        let count = Int.random(in: shortest...max(longest, shortest), using: &generator)
        var packet = udp(
            host(side, family, .random(in: 1...0xFFFE, using: &generator)),
            host(side.other, family, .random(in: 1...0xFFFE, using: &generator)), count: count,
            ports: (.random(in: 1...0xFFFF, using: &generator), .random(in: 1...0xFFFF, using: &generator)))
        for index in shortest..<count { packet[index] = .random(in: 0...255, using: &generator) }
        return packet
    }

    /// An Ethernet frame around an IP packet, from the other end's gateway to a side.
    static func frame(_ packet: [UInt8], from side: End.Side = .left) -> [UInt8] {
        let isV4 = packet.first.map { $0 >> 4 == 4 } ?? true
        return [2, 0, 0, 0, 0, 0xFE, 2, 0, 0, 0, 0, side == .left ? 0xF1 : 0xF2]
            + big(isV4 ? EtherType.ipv4 : EtherType.ipv6) + packet
    }

    /// The addresses of a frame that an engine of layer 2 makes from an opened packet: destination, then source.
    static func macs(from side: End.Side) -> [UInt8] {
        Array(big(side.other.mac.bits)[2...]) + big(side.mac.bits)[2...]
    }

    static func big<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
        (0..<Value.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> (Value.bitWidth - 8 - $0 * 8)) }
    }
}

extension Array where Element == UInt8 {
    /// The big-endian integer at an offset.
    func word<Value: FixedWidthInteger>(_ offset: Int, as type: Value.Type = Value.self) -> Value {
        (0..<Value.bitWidth / 8).reduce(0) { $0 << 8 | Value(self[offset + $1]) }
    }

    /// A copy with a range replaced.
    func replaced(_ range: Range<Int>, with bytes: [UInt8]) -> [UInt8] {
        var copy = self
        copy.replaceSubrange(range, with: bytes)
        return copy
    }

    /// A copy with one byte replaced.
    func with(_ byte: UInt8, at offset: Int) -> [UInt8] {
        var copy = self
        copy[offset] = byte
        return copy
    }
}
