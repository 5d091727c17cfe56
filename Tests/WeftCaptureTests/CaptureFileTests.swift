// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing
import Weft

@testable import WeftCapture

/// Captures that no recording here makes: several interfaces and sections, both byte orders, all kinds of blocks.
struct CaptureFileTests {
    private struct Writer {
        var isBig = false
        var bytes: [UInt8] = []

        func half(_ value: Int) -> [UInt8] {
            let bytes = [UInt8(value & 255), UInt8(value >> 8 & 255)]
            return isBig ? bytes.reversed() : bytes
        }

        func word(_ value: Int) -> [UInt8] {
            let bytes = (0..<4).map { UInt8(value >> (8 * $0) & 255) }
            return isBig ? bytes.reversed() : bytes
        }

        mutating func block(_ type: Int, _ body: [UInt8]) {
            let padded = body + [UInt8](repeating: 0, count: -body.count & 3)
            bytes += word(type) + word(padded.count + 12) + padded + word(padded.count + 12)
        }

        mutating func section() {
            block(0x0A0D_0D0A, word(0x1A2B_3C4D) + half(1) + half(0) + [UInt8](repeating: 0xFF, count: 8))
        }

        mutating func interface(_ link: Int, kept: Int = 65_535, options: [UInt8] = []) {
            block(1, half(link) + half(0) + word(kept) + options)
        }

        mutating func frame(_ interface: Int, _ frame: [UInt8], time: Int = 1_000_000, length: Int? = nil) {
            let times = word(time >> 32) + word(time & 0xFFFF_FFFF)
            block(6, word(interface) + times + word(frame.count) + word(length ?? frame.count) + frame)
        }
    }

    /// A datagram of so many bytes, from port 1 to port 2.
    private func packet(_ count: Int) -> [UInt8] {
        let length = 28 + count
        return [0x45, 0, UInt8(length >> 8), UInt8(length & 255), 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]
            + [0, 1, 0, 2, UInt8((8 + count) >> 8), UInt8((8 + count) & 255), 0, 0]
            + [UInt8](repeating: 7, count: count)
    }

    private func ethernet(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: 12) + [8, 0] + packet(count) }

    private func read(_ bytes: [UInt8]) throws -> [CaptureFile.Entry] {
        let path = NSTemporaryDirectory() + "weft-\(UUID().uuidString).pcapng"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        var file = try CaptureFile(path: path)
        var entries: [CaptureFile.Entry] = []
        while let entry = try file.next() { entries.append(entry) }
        return entries
    }

    /// How long each entry's datagram is; -1 for what is none.
    private func lengths(_ entries: [CaptureFile.Entry]) -> [Int] {
        entries.map { if case .datagram(let datagram) = $0.content { datagram.payload.count } else { -1 } }
    }

    @Test(arguments: [false, true])
    func interfacesMayDiffer(isBig: Bool) throws {
        var writer = Writer(isBig: isBig)
        writer.section()
        writer.interface(1)
        writer.interface(1, kept: 262_144)
        // Nanoseconds, plain IP, and a kind that nobody knows here.
        writer.interface(101, options: writer.half(9) + writer.half(1) + [9, 0, 0, 0] + writer.word(0))
        writer.interface(201)
        writer.frame(0, ethernet(1))
        writer.frame(1, ethernet(2))
        writer.frame(2, packet(3), time: 5_000_001_000)
        writer.frame(3, [1, 2, 3])
        // A later section has interfaces of its own.
        writer.section()
        writer.interface(228)
        writer.block(5, writer.word(0) + [UInt8](repeating: 0, count: 8))
        writer.frame(0, packet(4))
        writer.block(3, writer.word(packet(5).count) + packet(5))
        writer.block(
            2,
            writer.half(0) + writer.half(0) + writer.word(0) + writer.word(9) + writer.word(34) + writer.word(34)
                + packet(6))
        let entries = try read(writer.bytes)
        #expect(lengths(entries) == [1, 2, 3, -1, 4, 5, 6])
        #expect(entries.map(\.number) == Array(1...7))
        #expect(entries[0].time == 1_000_000 && entries[2].time == 5_000_001 && entries[6].time == 9)
        #expect(entries[3].content == .other)
    }

    @Test func whatWasCutIsPartial() throws {
        var writer = Writer()
        writer.section()
        writer.interface(1)
        writer.frame(0, Array(ethernet(100).prefix(60)), length: 142)
        #expect(try read(writer.bytes).map(\.content) == [.partial])
    }

    @Test(arguments: [0xA1B2_C3D4, 0xA1B2_3C4D], [false, true])
    func olderFilesOfBothOrders(_ magic: Int, isBig: Bool) throws {
        let writer = Writer(isBig: isBig)
        let header =
            writer.word(magic) + writer.half(2) + writer.half(4) + writer.word(0) + writer.word(0) + writer.word(65_535)
        let frame = ethernet(9)
        let record = writer.word(3) + writer.word(5000) + writer.word(frame.count) + writer.word(frame.count) + frame
        let entries = try read(header + writer.word(1) + record)
        #expect(lengths(entries) == [9] && entries[0].time == 3_000_000 + (magic == 0xA1B2_3C4D ? 5 : 5000))
        #expect(throws: CaptureFile.Failure.self) { try read(header + writer.word(201) + record) }
    }

    @Test func damageIsRefused() throws {
        var good = Writer()
        good.section()
        good.interface(1)
        good.frame(0, ethernet(50))
        var unknown = good
        unknown.frame(7, ethernet(1))
        var huge = good
        huge.bytes += huge.word(6) + huge.word(0x7FFF_FFFC)
        var short = good
        short.block(6, [0, 0, 0, 0])
        for bytes in [
            unknown.bytes, huge.bytes, short.bytes, Array(good.bytes.dropLast()), [], [1, 2, 3],
            Array("text, no capture".utf8),
        ] {
            #expect(throws: CaptureFile.Failure.self) { try read(bytes) }
        }
        for index in good.bytes.indices {
            var other = good.bytes
            other[index] ^= 0xFF
            _ = try? read(other)
        }
    }
}
