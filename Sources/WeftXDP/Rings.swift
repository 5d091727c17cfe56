// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Synchronization
import Weft

// The rings that a socket shares with the kernel: of two sides one only produces and the other only consumes.
//
// Memory ordering. Both sides own one index, which only they write: the producer's counts entries written, the consumer's
// entries read; both run freely around 2^32. Two pairs of operations make it work, and nothing else is needed:
//
// 1. The producer writes entries, then stores its index with release; the consumer loads that index with acquire, then
//    reads the entries. So whoever sees the index sees the entries, and what was written before, such as the payloads in
//    the UMEM.
// 2. The consumer reads entries, then stores its index with release; the producer loads that index with acquire, then
//    writes over them. So no entry is overwritten that is still being read, and no frame is written to that the other
//    side still reads.
//
// Each side keeps a copy of the other's index and looks at the shared one only when the copy says that nothing is left:
// once per batch, as long as there is work. The kernel does the same (net/xdp/xsk_queue.h).

/// A ring's memory, mapped from its socket.
@safe
struct RingMemory<Entry: BitwiseCopyable>: ~Copyable, @unchecked Sendable {
    private let base: UnsafeMutableRawPointer
    private let length: Int
    /// Safe, as the two below: the kernel lays these out aligned within the mapping, which lives as long as self, and
    /// an `Atomic` has its value's layout.
    fileprivate let producer: UnsafeMutablePointer<Atomic<UInt32>>
    fileprivate let consumer: UnsafeMutablePointer<Atomic<UInt32>>
    private let flags: UnsafeMutablePointer<Atomic<UInt32>>
    private let entries: UnsafeMutablePointer<Entry>
    fileprivate let capacity: UInt32

    /// Where the kernel put a ring's parts, and the offset at which it is mapped.
    struct Layout {
        let offsets: xdp_ring_offset
        let page: Int
    }

    /// - Parameter capacity: entries, a power of two, as the socket was told before.
    init(_ socket: Int32, _ layout: Layout, capacity: Int) throws(TransportError) {
        let length = Int(layout.offsets.desc) + capacity * MemoryLayout<Entry>.stride
        let memory = unsafe mmap(
            nil, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, socket, layout.page)
        guard let memory = unsafe memory, unsafe memory != MAP_FAILED else {
            throw TransportError("map an AF_XDP ring", code: errno)
        }
        unsafe base = memory
        self.length = length
        unsafe producer = (memory + Int(layout.offsets.producer)).assumingMemoryBound(to: Atomic<UInt32>.self)
        unsafe consumer = (memory + Int(layout.offsets.consumer)).assumingMemoryBound(to: Atomic<UInt32>.self)
        unsafe flags = (memory + Int(layout.offsets.flags)).assumingMemoryBound(to: Atomic<UInt32>.self)
        unsafe entries = (memory + Int(layout.offsets.desc)).assumingMemoryBound(to: Entry.self)
        self.capacity = UInt32(capacity)
    }

    deinit { unsafe munmap(base, length) }

    @inline(__always)
    fileprivate subscript(position: UInt32) -> Entry {
        // Safe: the mask keeps the position within the ring.
        get { unsafe entries[Int(position & (capacity &- 1))] }
        nonmutating set { unsafe entries[Int(position & (capacity &- 1))] = newValue }
    }

    /// Whether the kernel sleeps on this ring until it is woken (XDP_USE_NEED_WAKEUP).
    @inline(__always)
    fileprivate var needsWakeup: Bool {
        unsafe flags.pointee.load(ordering: .relaxed) & UInt32(XDP_RING_NEED_WAKEUP) != 0
    }
}

/// A ring that we fill and the kernel empties: the fill ring and the transmit ring.
struct ProducerRing<Entry: BitwiseCopyable>: ~Copyable, Sendable {
    private let memory: RingMemory<Entry>
    /// Where the next entry goes.
    private var next: UInt32
    /// The position that is still taken, as we last saw it.
    private var limit: UInt32

    init(_ memory: consuming RingMemory<Entry>) {
        next = unsafe memory.producer.pointee.load(ordering: .relaxed)
        limit = unsafe memory.consumer.pointee.load(ordering: .acquiring) &+ memory.capacity
        self.memory = memory
    }

    var capacity: Int { Int(memory.capacity) }

    /// How many entries can be appended. Looks at the shared index when it knows of fewer than `wanted`.
    @inline(__always)
    mutating func room(for wanted: Int = 1) -> Int {
        if Int(limit &- next) < wanted {
            limit = unsafe memory.consumer.pointee.load(ordering: .acquiring) &+ memory.capacity
        }
        return Int(limit &- next)
    }

    /// Writes an entry, for which there is room; the kernel sees it after ``publish()``.
    @inline(__always)
    mutating func append(_ entry: Entry) {
        precondition(limit != next)
        memory[next] = entry
        next &+= 1
    }

    /// Hands over what was appended.
    @inline(__always)
    func publish() { unsafe memory.producer.pointee.store(next, ordering: .releasing) }

    /// Entries that the kernel has not taken yet.
    @inline(__always)
    var pending: Int { Int(next &- (unsafe memory.consumer.pointee.load(ordering: .acquiring))) }

    @inline(__always)
    var needsWakeup: Bool { memory.needsWakeup }
}

/// A ring that the kernel fills and we empty: the receive ring and the completion ring.
struct ConsumerRing<Entry: BitwiseCopyable>: ~Copyable, Sendable {
    private let memory: RingMemory<Entry>
    /// The next entry to read.
    private var position: UInt32
    /// The position behind the last entry, as we last saw it.
    private var end: UInt32

    init(_ memory: consuming RingMemory<Entry>) {
        position = unsafe memory.consumer.pointee.load(ordering: .relaxed)
        end = position
        self.memory = memory
    }

    /// The next entry, or nil when the kernel has written no other. Its place is the kernel's again after ``release()``.
    @inline(__always)
    mutating func next() -> Entry? {
        if position == end {
            end = unsafe memory.producer.pointee.load(ordering: .acquiring)
            if position == end { return nil }
        }
        defer { position &+= 1 }
        return memory[position]
    }

    /// Hands back the places of what was read.
    @inline(__always)
    func release() { unsafe memory.consumer.pointee.store(position, ordering: .releasing) }
}
