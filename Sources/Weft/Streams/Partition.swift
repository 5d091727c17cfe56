// SPDX-License-Identifier: Apache-2.0

/// Sorts a batch's datagrams by kind where they lie: data stays in the batch, runs of other kinds are listed beside it.
///
/// The kernel merges datagrams by addresses and size alone, so that each one of a buffer is identified by itself; those
/// of one kind that follow one another are one part.
@_spi(Benchmarks)
public struct Partition: ~Copyable {
    /// Datagrams of one kind, as a buffer of their own: they lie in the batch's arena.
    struct Part: BitwiseCopyable {
        let kind: PacketKind
        let datagrams: FromUnderlay.Buffer
    }

    /// Of all kinds but data.
    private(set) var others: FixedArray<Part>
    private var received: FixedArray<FromUnderlay.Buffer>
    private var position = 0
    private var offset = 0

    /// - Parameter parts: listed at once; more take several rounds.
    public init(parts: Int = 128) {
        others = FixedArray(capacity: parts)
        received = FixedArray(capacity: FromUnderlay.leastParts)
    }

    /// Whether a batch holds nothing but data as Weft sends it, so that there is nothing to sort: a load and a comparison
    /// for each datagram.
    public static func isAllData(_ batch: borrowing FromUnderlay) -> Bool {
        let bytes = batch.arena.bytes
        for index in 0..<batch.buffers.count {
            let buffer = batch.buffers[index]
            var offset = buffer.place.offset
            let end = offset + buffer.place.count
            repeat {
                guard Identification.isCanonicalData(bytes, at: offset, count: min(buffer.segmentSize, end - offset))
                else { return false }
                offset += buffer.segmentSize
            } while offset < end
        }
        return true
    }

    /// Takes over what a batch received.
    public mutating func begin(_ batch: inout FromUnderlay) {
        if received.capacity < batch.buffers.count { received = FixedArray(capacity: batch.buffers.capacity) }
        received.removeAll()
        for index in 0..<batch.buffers.count { received.append(batch.buffers[index]) }
        position = 0
        offset = 0
    }

    /// Leaves the next data in the batch and lists the next parts of other kinds; false when there are no more. One
    /// round is enough unless kinds alternate a hundred times in a batch.
    public mutating func next(_ batch: inout FromUnderlay) -> Bool {
        batch.buffers.removeAll()
        others.removeAll()
        guard position < received.count else { return false }
        while position < received.count, !batch.buffers.isFull, !others.isFull {
            let buffer = received[position]
            let (kind, end) = Self.run(
                in: batch.arena.bytes.extracting(buffer.place.range), from: offset, buffer)
            let run = FromUnderlay.Buffer(
                place: PacketRange(offset: buffer.place.offset + offset, count: end - offset),
                segmentSize: buffer.segmentSize, source: buffer.source, local: buffer.local,
                trafficClass: buffer.trafficClass, isTruncated: buffer.isTruncated)
            if kind == .data {
                batch.buffers.append(run)
            } else {
                others.append(Part(kind: kind, datagrams: run))
            }
            offset = end
            if offset >= buffer.place.count {
                position += 1
                offset = 0
            }
        }
        return true
    }

    /// The kind of the datagram at `start`, and where those that share it end.
    @inline(__always)
    private static func run(
        in bytes: RawSpan, from start: Int, _ buffer: FromUnderlay.Buffer
    ) -> (kind: PacketKind, end: Int) {
        // What of it is missing is not known: the engine counts it.
        guard !buffer.isTruncated else { return (.data, bytes.byteCount) }
        let size = buffer.segmentSize
        var end = start
        while end < bytes.byteCount,
            Identification.isCanonicalData(bytes, at: end, count: min(size, bytes.byteCount - end))
        { end += size }
        if end > start { return (.data, min(end, bytes.byteCount)) }
        let first = kind(in: bytes, at: start, size)
        end = start + size
        while end < bytes.byteCount, kind(in: bytes, at: end, size) == first { end += size }
        return (first, min(end, bytes.byteCount))
    }

    private static func kind(in bytes: RawSpan, at offset: Int, _ size: Int) -> PacketKind {
        Identification(of: bytes.extracting(offset..<min(offset + size, bytes.byteCount))).kind
    }
}
