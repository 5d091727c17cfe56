// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

@Suite("The Internet checksum")
struct ChecksumTests {
    /// RFC 1071's sum, with the words added at full width and folded at the end.
    private func reference(_ bytes: ArraySlice<UInt8>, from initial: UInt64) -> UInt16 {
        var sum = initial % 0xFFFF
        for (index, byte) in bytes.enumerated() { sum += UInt64(byte) << (index % 2 == 0 ? 8 : 0) }
        let folded = UInt16(sum % 0xFFFF)
        // Both 0 and 0xFFFF are zero; a sum is 0 only when nothing but zeros was added.
        return folded == 0 && (initial > 0 || bytes.contains { $0 != 0 }) ? 0xFFFF : folded
    }

    @Test("every length from 0 to 2,000, at every alignment, from small and big sums")
    func sums() {
        var generator = SeededGenerator.fresh()
        var buffer = (0..<2_100).map { _ in UInt8.random(in: 0...255, using: &generator) }
        for count in 0...2_000 {
            let offset = Int.random(in: 0..<64, using: &generator)
            let initial: UInt64 =
                switch count % 4 {
                case 0: 0
                case 1: .random(in: 0...0xFFFF, using: &generator)
                case 2: .random(in: 0...0xFFFF_FFFF, using: &generator)
                default: .random(in: 0...UInt64.max >> 1, using: &generator)
                }
            if count % 100 == 0 { buffer = buffer.map { _ in count % 200 == 0 ? 0xFF : 0 } }
            if count % 100 == 1 { buffer = RandomSuperpacket.random(2_100, using: &generator) }
            let slice = buffer[offset..<offset + count]
            let sum = unsafe Checksum.sum(buffer.span.bytes.extracting(offset..<offset + count), from: initial)
            #expect(Checksum.fold(sum) == reference(slice, from: initial), "seed \(generator.seed), \(count)")
            #expect(Checksum.finish(sum) == ~reference(slice, from: initial))
        }
        for offset in 0..<64 {
            for count in 0...80 {
                let sum = unsafe Checksum.sum(buffer.span.bytes.extracting(offset..<offset + count))
                #expect(Checksum.fold(sum) == reference(buffer[offset..<offset + count], from: 0))
            }
        }
    }

    @Test("64 KiB of ones, and sums in parts")
    func extremes() {
        let ones = [UInt8](repeating: 0xFF, count: 65_535)
        let whole = unsafe Checksum.sum(ones.span.bytes)
        #expect(Checksum.fold(whole) == reference(ones[...], from: 0))
        let parts = unsafe Checksum.sum(
            ones.span.bytes.extracting(1_000..<65_535), from: Checksum.sum(ones.span.bytes.extracting(0..<1_000)))
        #expect(Checksum.fold(parts) == Checksum.fold(whole))
    }
}
