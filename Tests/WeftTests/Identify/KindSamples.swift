// SPDX-License-Identifier: Apache-2.0
@testable import Weft

/// Datagrams of each kind, made by hand.
enum KindSamples {
    struct Sample: Sendable, CustomStringConvertible {
        let name: String
        let kind: PacketKind
        let bytes: [UInt8]
        /// Bytes that decide.
        let header: Int
        var description: String { name }

        init(_ name: String, _ kind: PacketKind, _ bytes: [UInt8], header: Int) {
            self.name = name
            self.kind = kind
            self.bytes = bytes
            self.header = header
        }
    }

    static func filler(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ 11) } }

    static let data: [UInt8] =
        [0x06, 0x40, 0x08, 0x00, 0, 0, 7, 0, 0xFF, 0x00, 0x81, 1, 0, 0, 0, 1, 0xFF, 0x00, 0x82, 3]
        + [UInt8](repeating: 0, count: 12) + filler(64)
    static let disco: [UInt8] = [0x54, 0x53, 0xF0, 0x9F, 0x92, 0xAC] + filler(32 + 24 + 40)
    static let stun: [UInt8] = [0, 1, 0, 8, 0x21, 0x12, 0xA4, 0x42] + filler(12) + [0x80, 0x22, 0, 4] + filler(4)
    /// QUIC: a long header, and a short one with a connection id of ours.
    static let longHeader: [UInt8] = [0xC3, 0, 0, 0, 1, 8] + filler(1194)
    static let shortHeader: [UInt8] = [0x43, 0x51] + filler(40)
    static let unknown: [UInt8] = [0x00, 0x2A, 9, 9] + filler(40)

    static func wireGuard(_ type: UInt8) -> [UInt8] {
        let lengths: [UInt8: Int] = [1: 148, 2: 92, 3: 64]
        return [type, 0, 0, 0] + filler((lengths[type] ?? 1452) - 4)
    }

    static func envelope(_ etherType: UInt16, vni: UInt32 = 0x01_0203, _ payload: [UInt8]) -> [UInt8] {
        [
            0, 0, UInt8(etherType >> 8), UInt8(etherType & 0xFF), UInt8(vni >> 16), UInt8(vni >> 8 & 0xFF),
            UInt8(vni & 0xFF), 0,
        ] + payload
    }

    static let all: [Sample] =
        [
            Sample("data", .data, data, header: 32),
            Sample("data with more options", .data, [0x3F, 0x00] + filler(300), header: 8),
            Sample("long header", .control, longHeader, header: 8),
            Sample("short header", .control, shortHeader, header: 8),
            Sample("short header, greased", .control, [0x03] + shortHeader.dropFirst(), header: 8),
            Sample("short header, another's", .control, [0x40, 0x77] + filler(30), header: 8),
            Sample("stun", .stun, stun, header: 20),
            Sample("disco", .disco, disco, header: 62),
            Sample("disco in geneve", .disco, envelope(0x7A11, disco), header: 70),
            Sample("disco in geneve, named only", .disco, envelope(0x7A11, filler(3)), header: 11),
            Sample("disco in geneve, seen only", .disco, envelope(0x0800, disco), header: 70),
            Sample("disco in geneve, named wireguard", .unknown, envelope(0x7A12, disco), header: 70),
            Sample("nothing in geneve", .unknown, envelope(0, filler(40)), header: 40),
            Sample("unknown", .unknown, unknown, header: 8),
            Sample("empty geneve", .wireGuard, envelope(0x7A12, []), header: 8),
        ]
        + (1...4).flatMap { type in
            [
                Sample("wireguard \(type)", .wireGuard, wireGuard(type), header: 16),
                Sample("wireguard \(type) in geneve", .wireGuard, envelope(0x7A12, wireGuard(type)), header: 16),
                Sample("wireguard \(type) in geneve, seen only", .wireGuard, envelope(6, wireGuard(type)), header: 16),
                Sample(
                    "wireguard \(type) in geneve, named disco", .unknown, envelope(0x7A11, wireGuard(type)), header: 16),
            ]
        }
}
