// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Testing
import Weft
import WeftTestSupport

@testable import WeftXDP

/// A ring in a file of memory, of which a test has both sides: the kernel's is played by our other side.
struct RingFile: ~Copyable {
    let descriptor: FileDescriptor
    let capacity: Int
    /// Indices on lines of their own, then the entries, as the kernel lays them out.
    static let offsets = xdp_ring_offset(producer: 0, consumer: 64, desc: 192, flags: 128)

    /// - Parameter position: of both indices at the beginning.
    init(capacity: Int, position: UInt32) throws {
        self.capacity = capacity
        descriptor = FileDescriptor(owning: try Self.file(capacity: capacity, position: position))
    }

    private static func file(capacity: Int, position: UInt32) throws -> Int32 {
        let path = "/tmp/weft-ring-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        let raw = unsafe open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        try #require(raw >= 0)
        unsafe unlink(path)
        try #require(ftruncate(raw, 192 + capacity * 16) == 0)
        var index = position
        for offset in [0, 64] { try #require(unsafe pwrite(raw, &index, 4, offset) == 4) }
        return raw
    }

    func memory<Entry: BitwiseCopyable>(of type: Entry.Type) throws -> RingMemory<Entry> {
        try RingMemory(descriptor.raw, .init(offsets: Self.offsets, page: 0), capacity: capacity)
    }
}

@Suite("Rings")
struct RingTests {
    @Test("Entries come out in order, also where the indices overflow", arguments: [0, UInt32.max - 3, 1 << 31])
    func order(position: UInt32) throws {
        let file = try RingFile(capacity: 8, position: position)
        var producer = ProducerRing(try file.memory(of: UInt64.self))
        var consumer = ConsumerRing(try file.memory(of: UInt64.self))
        #expect(consumer.next() == nil)
        var written: UInt64 = 0
        var read: UInt64 = 0
        for round in 0..<100 {
            let count = round % 9
            #expect(producer.room(for: 8) == 8)
            for _ in 0..<count {
                producer.append(written)
                written += 1
            }
            // Nothing is seen before it is published.
            #expect(consumer.next() == nil)
            producer.publish()
            #expect(producer.pending == count)
            for _ in 0..<count {
                #expect(consumer.next() == read)
                read += 1
            }
            #expect(consumer.next() == nil)
            if count == 8 { #expect(producer.room() == 0) }
            consumer.release()
            #expect(producer.pending == 0)
        }
        #expect(read == written)
    }

    @Test("A full ring takes no more until the other side has released")
    func full() throws {
        let file = try RingFile(capacity: 4, position: 0)
        var producer = ProducerRing(try file.memory(of: xdp_desc.self))
        var consumer = ConsumerRing(try file.memory(of: xdp_desc.self))
        for index in 0..<4 { producer.append(xdp_desc(addr: UInt64(index), len: 1, options: 0)) }
        producer.publish()
        #expect(producer.room() == 0)
        #expect(consumer.next()?.addr == 0)
        #expect(producer.room() == 0)
        consumer.release()
        #expect(producer.room() == 1)
    }

    @Test("Between two threads no entry is lost, doubled or read before it is written")
    func threads() throws {
        let file = try RingFile(capacity: 64, position: UInt32.max - 1000)
        let raw = file.descriptor.raw
        let count: UInt64 = 200_000
        try Threads.run(2) { number in
            func memory() throws -> RingMemory<xdp_desc> {
                try RingMemory(raw, .init(offsets: RingFile.offsets, page: 0), capacity: 64)
            }
            if number == 0 {
                var ring = ProducerRing(try memory())
                var next: UInt64 = 0
                while next < count {
                    var room = ring.room(for: 16)
                    while room > 0, next < count {
                        // All parts of an entry must be seen together.
                        ring.append(
                            xdp_desc(
                                addr: next, len: UInt32(truncatingIfNeeded: ~next),
                                options: UInt32(truncatingIfNeeded: next &* 3)))
                        next += 1
                        room -= 1
                    }
                    ring.publish()
                    Threads.yield()
                }
            } else {
                var ring = ConsumerRing(try memory())
                var expected: UInt64 = 0
                while expected < count {
                    var came = 0
                    while came < 8, let entry = ring.next() {
                        guard entry.addr == expected, entry.len == UInt32(truncatingIfNeeded: ~expected),
                            entry.options == UInt32(truncatingIfNeeded: expected &* 3)
                        else {
                            Issue.record("entry \(expected) came as \(entry)")
                            return
                        }
                        expected += 1
                        came += 1
                    }
                    if came > 0 { ring.release() } else { Threads.yield() }
                }
            }
        }
    }
}
