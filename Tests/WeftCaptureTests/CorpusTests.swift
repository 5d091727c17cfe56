// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing
import Weft
import WeftCapture
import WeftTestSupport

/// Datagrams of real programs; Tests/Corpus/record.sh recorded them.
@Suite("Corpus")
struct CorpusTests {
    private static let folder = Vectors.folder.deletingLastPathComponent().appendingPathComponent("Corpus")

    struct Capture: Sendable, CustomTestStringConvertible {
        let name: String
        let kind: PacketKind
        let datagrams: Int
        var testDescription: String { name }
    }

    static let captures = [
        Capture(name: "weft", kind: .data, datagrams: 20),
        Capture(name: "quic", kind: .control, datagrams: 14),
        Capture(name: "stun", kind: .stun, datagrams: 8),
        Capture(name: "wireguard", kind: .wireGuard, datagrams: 20),
        Capture(name: "wireguard-cookie", kind: .wireGuard, datagrams: 1),
    ]

    private func read(_ path: String) throws -> [CaptureFile.Entry] {
        var file = try CaptureFile(path: path)
        var entries: [CaptureFile.Entry] = []
        while let entry = try file.next() { entries.append(entry) }
        return entries
    }

    private func datagrams(_ name: String) throws -> [[UInt8]] {
        try read(Self.folder.appendingPathComponent(name + ".pcap").path).compactMap { entry in
            if case .datagram(let datagram) = entry.content { datagram.payload } else { nil }
        }
    }

    private func identify(_ datagram: [UInt8]) -> Identification {
        unsafe Identification(of: datagram.span.bytes)
    }

    @Test("every recorded datagram is found for what it is", arguments: captures)
    func verdicts(capture: Capture) throws {
        let datagrams = try datagrams(capture.name)
        #expect(datagrams.count >= capture.datagrams)
        for (number, datagram) in datagrams.enumerated() {
            let found = identify(datagram)
            #expect(found.kind == capture.kind && found.encapsulation == .none && found.payloadOffset == 0, "\(number)")
        }
    }

    @Test("all four messages of WireGuard are among them, and one that its MTU kept from being padded")
    func wireGuardTypes() throws {
        let datagrams = try datagrams("wireguard") + datagrams("wireguard-cookie")
        #expect(Set(datagrams.map { $0[0] }) == [1, 2, 3, 4])
        #expect(datagrams.contains { $0[0] == 4 && $0.count % 16 != 0 })
        let quic = try self.datagrams("quic")
        #expect(Set(quic.map { $0[0] >> 6 }) == [1, 3])
    }

    @Test("inside Geneve only WireGuard is looked for", arguments: captures)
    func enveloped(capture: Capture) throws {
        for datagram in try datagrams(capture.name) {
            for (etherType, name) in [(0x7A12, PacketKind.wireGuard), (0x7A11, .disco), (0x0800, .unknown)] {
                let header: [UInt8] = [0, 0, UInt8(etherType >> 8), UInt8(etherType & 0xFF), 0x12, 0x34, 0x56, 0]
                let found = identify(header + datagram)
                #expect(found.encapsulation == .geneve(vni: 0x12_3456) && found.payloadOffset == 8)
                let wanted: PacketKind =
                    capture.kind == .wireGuard ? (name == .disco ? .unknown : .wireGuard) : name
                #expect(found.kind == wanted)
            }
        }
    }

    @Test("pcapng gives what pcap gives", arguments: captures)
    func newFormat(capture: Capture) throws {
        let path = Self.folder.appendingPathComponent(capture.name + ".pcap").path
        let old = try Data(contentsOf: URL(fileURLWithPath: path))
        let new = NSTemporaryDirectory() + "weft-\(UUID().uuidString).pcapng"
        defer { try? FileManager.default.removeItem(atPath: new) }
        try Data(Self.pcapng(from: [UInt8](old))).write(to: URL(fileURLWithPath: new))
        #expect(try read(new) == read(path))
    }

    /// The blocks of a pcapng file: section header, interface, and one for each packet.
    private static func pcapng(from pcap: [UInt8]) -> [UInt8] {
        func word(_ offset: Int) -> Int { (0..<4).reduce(0) { $0 | Int(pcap[offset + $1]) << ($1 * 8) } }
        func bytes(_ value: Int, _ count: Int = 4) -> [UInt8] { (0..<count).map { UInt8(value >> ($0 * 8) & 0xFF) } }
        func block(_ type: Int, _ body: [UInt8]) -> [UInt8] {
            let padded = body + [UInt8](repeating: 0, count: (4 - body.count % 4) % 4)
            let length = bytes(padded.count + 12)
            return bytes(type) + length + padded + length
        }
        var result = block(
            0x0A0D_0D0A, bytes(0x1A2B_3C4D) + bytes(1, 2) + bytes(0, 2) + [UInt8](repeating: 0xFF, count: 8))
        result += block(1, bytes(word(20), 2) + bytes(0, 2) + bytes(word(16)))
        var offset = 24
        while offset < pcap.count {
            let time = word(offset) * 1_000_000 + word(offset + 4)
            let captured = word(offset + 8)
            result += block(
                6,
                bytes(0) + bytes(time >> 32) + bytes(time & 0xFFFF_FFFF) + bytes(captured) + bytes(word(offset + 12))
                    + pcap[(offset + 16)..<(offset + 16 + captured)])
            offset += 16 + captured
        }
        return result
    }

    @Test("every cut of a capture, and bytes changed at random, are read or refused, never worse")
    func damaged() throws {
        var generator = SeededGenerator.fresh()
        let path = Self.folder.appendingPathComponent("stun.pcap").path
        let whole = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
        let damaged = NSTemporaryDirectory() + "weft-\(UUID().uuidString).pcap"
        defer { try? FileManager.default.removeItem(atPath: damaged) }
        for round in 0..<600 {
            var bytes = Array(whole.prefix(round < 300 ? whole.count : Int.random(in: 0...whole.count)))
            for _ in 0..<(round < 300 ? 4 : 0) {
                bytes[.random(in: 0..<bytes.count, using: &generator)] = .random(in: 0...255, using: &generator)
            }
            try Data(bytes).write(to: URL(fileURLWithPath: damaged))
            _ = try? read(damaged)
        }
        #expect(throws: CaptureFile.Failure.self) { _ = try CaptureFile(path: damaged + ".none") }
    }
}
