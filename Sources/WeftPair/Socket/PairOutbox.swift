// SPDX-License-Identifier: Apache-2.0
import Weft

/// Sends records over a pair without ever waiting. One thread uses it.
///
/// What must arrive waits here until it is sent; it is bounded by what is configured. What may be lost, as any datagram may, is
/// dropped and counted where the pair is full.
struct PairOutbox<Record: WireRecord>: ~Copyable {
    private var buffer = PairBuffer()
    private var waiting: [Record] = []
    /// How many of those that wait were sent.
    private var sent = 0
    private var filled = 0
    /// Records in the buffer that may be lost.
    private var losable: UInt64 = 0
    /// Records that were dropped.
    private(set) var dropped: UInt64 = 0

    /// Whether everything that must arrive was sent.
    var isEmpty: Bool { sent == waiting.count }

    /// Queues a record that must arrive.
    mutating func append(_ record: Record) { waiting.append(record) }

    /// Sends what waits, as far as the pair takes it.
    mutating func flush(to socket: PairSocket) throws(PairFailure) {
        try flushLosable(to: socket)
        while sent < waiting.count {
            var count = 0
            var next = sent
            while next < waiting.count, let size = waiting[next].write(into: buffer.room(after: count)) {
                count += size
                next += 1
            }
            // A record that fits no message is none: those that make records bound what they hold.
            guard next > sent else {
                dropped += 1
                sent += 1
                continue
            }
            defer { buffer.wipe(count) }
            switch socket.send(buffer, count: count) {
            case .done: sent = next
            case .full: return compact()
            case .closed: throw .closed
            }
        }
        compact()
    }

    /// Adds a record that may be lost, behind those that must arrive; whether it was not lost. It leaves with the message that it fills, or with the next
    /// ``flush(to:)``.
    mutating func offer(_ record: Record, to socket: PairSocket) throws(PairFailure) -> Bool {
        if !isEmpty { try flush(to: socket) }
        guard isEmpty else {
            dropped += 1
            return false
        }
        if let size = record.write(into: buffer.room(after: filled)) {
            filled += size
            losable += 1
            return true
        }
        let before = dropped
        try flushLosable(to: socket)
        guard dropped == before, let size = record.write(into: buffer.room(after: 0)) else {
            dropped += 1
            return false
        }
        filled = size
        losable = 1
        return true
    }

    private mutating func flushLosable(to socket: PairSocket) throws(PairFailure) {
        guard filled > 0 else { return }
        defer {
            buffer.wipe(filled)
            filled = 0
            losable = 0
        }
        switch socket.send(buffer, count: filled) {
        case .done: break
        case .full: dropped += losable
        case .closed: throw .closed
        }
    }

    private mutating func compact() {
        if sent == waiting.count {
            waiting.removeAll(keepingCapacity: waiting.count < 64)
            sent = 0
        } else if sent > 1024 {
            waiting.removeFirst(sent)
            sent = 0
        }
    }
}
