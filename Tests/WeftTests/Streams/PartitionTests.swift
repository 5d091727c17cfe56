// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable @_spi(Benchmarks) import Weft

@Suite("Partition")
struct PartitionTests {
    private struct Label: Hashable {
        let kind: PacketKind
        let bytes: [UInt8]
    }

    /// Datagrams of one size that the kernel merged, perhaps a shorter one last.
    private func append(_ datagrams: [[UInt8]], to batch: inout FromUnderlay) {
        let start = batch.buffers.count * batch.slotSize
        var offset = start
        var room = batch.arena.mutableBytes
        for datagram in datagrams {
            unsafe room.copy(datagram.span.bytes, to: offset)
            offset += datagram.count
        }
        batch.buffers.append(
            FromUnderlay.Buffer(
                place: PacketRange(offset: start, count: offset - start), segmentSize: datagrams[0].count,
                source: Endpoint(IPAddress(v4: 1), port: 1)))
    }

    private func datagrams(of buffer: FromUnderlay.Buffer, in arena: borrowing PacketArena) -> [[UInt8]] {
        stride(from: 0, to: max(buffer.place.count, 1), by: buffer.segmentSize).map { start in
            let end = min(start + buffer.segmentSize, buffer.place.count)
            return arena.bytes.extracting(buffer.place.offset + start..<buffer.place.offset + end).copied
        }
    }

    /// What the partition makes of the batch, by kind and in order; and in how many rounds and parts.
    private func divide(_ batch: inout FromUnderlay) -> (found: [PacketKind: [[UInt8]]], rounds: Int, parts: Int) {
        var partition = Partition()
        partition.begin(&batch)
        var found: [PacketKind: [[UInt8]]] = [:]
        var (rounds, parts) = (0, 0)
        while partition.next(&batch) {
            rounds += 1
            for index in 0..<batch.buffers.count {
                parts += 1
                found[.data, default: []] += datagrams(of: batch.buffers[index], in: batch.arena)
            }
            for index in 0..<partition.others.count {
                parts += 1
                let part = partition.others[index]
                let list = datagrams(of: part.datagrams, in: batch.arena)
                #expect(list.count == part.datagrams.count)
                found[part.kind, default: []] += list
            }
        }
        return (found, rounds, parts)
    }

    @Test("mixed buffers of all sizes: each datagram is in its kind's part once, in order")
    func mixed() {
        var generator = SeededGenerator.fresh()
        let samples = KindSamples.all.map(\.bytes)
        for _ in 0..<300 {
            var batch = FromUnderlay(capacity: 4)
            var wanted: [PacketKind: [[UInt8]]] = [:]
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let size = Int.random(in: 1...200, using: &generator)
                var merged: [[UInt8]] = []
                for _ in 0..<Int.random(in: 1...min(100, 8192 / size), using: &generator) {
                    let sample = samples.randomElement(using: &generator) ?? []
                    let datagram = Array((sample + KindSamples.filler(size)).prefix(size))
                    // Runs of one kind are what there mostly is.
                    merged += [[UInt8]](repeating: datagram, count: .random(in: 1...8, using: &generator))
                }
                if Bool.random(using: &generator) {
                    merged[merged.count - 1].removeLast(.random(in: 0..<size, using: &generator))
                }
                append(merged, to: &batch)
                for datagram in merged {
                    wanted[IdentificationReference.verdict(datagram).kind, default: []].append(datagram)
                }
            }
            let canonical = wanted.keys.allSatisfy { $0 == .data } && wanted[.data]?.allSatisfy { $0[0] == 6 } == true
            let isAllData = Partition.isAllData(batch)
            #expect(!isAllData || canonical, "seed \(generator.seed)")
            let (found, _, _) = divide(&batch)
            let isRight = found == wanted
            #expect(isRight, "seed \(generator.seed)")
        }
    }

    @Test("a buffer of one kind is one part, and runs are parts of their own")
    func runs() {
        let data = [[UInt8]](repeating: KindSamples.data, count: 20)
        let other = [[UInt8]](repeating: Array(KindSamples.disco.prefix(data[0].count)), count: 3)
        #expect(data[0].count == other[0].count)
        var batch = FromUnderlay()
        append(data, to: &batch)
        var isAllData = Partition.isAllData(batch)
        #expect(isAllData)
        #expect(divide(&batch).parts == 1)
        batch.removeAll()
        append(data + other + data, to: &batch)
        isAllData = Partition.isAllData(batch)
        #expect(!isAllData)
        append(other, to: &batch)
        let (found, rounds, parts) = divide(&batch)
        #expect(found[.data]?.count == 40 && found[.disco]?.count == 6)
        #expect(rounds == 1 && parts == 4)
    }

    @Test("a datagram of no bytes is one of no kind; one that was cut off is the engine's")
    func edges() {
        var batch = FromUnderlay()
        let source = Endpoint(IPAddress(v4: 1), port: 1)
        batch.buffers.append(.init(place: PacketRange(offset: 0, count: 0), source: source))
        let isAllData = Partition.isAllData(batch)
        #expect(!isAllData)
        let (found, _, _) = divide(&batch)
        #expect(found == [.unknown: [[]]])
        batch.removeAll()
        batch.buffers.append(
            .init(place: PacketRange(offset: 0, count: 100), segmentSize: 10, source: source, isTruncated: true))
        #expect(divide(&batch).found[.data]?.count == 10)
    }
}
