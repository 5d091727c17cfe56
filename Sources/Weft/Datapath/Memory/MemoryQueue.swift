// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Synchronization

/// A queue of packets between threads, for the in-memory transports. It may allocate: it stands in for the kernel.
final class MemoryQueue: Sendable {
    private let packets = Mutex<[[UInt8]]>([])
    private let arrival: FileDescriptor
    private let limit: Int

    /// - Parameter limit: packets that the queue holds; more are refused.
    init(limit: Int) throws(TransportError) {
        self.limit = limit
        arrival = FileDescriptor(
            owning: try SystemCall.retrying("make an event descriptor") {
                eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
            })
    }

    /// False when the queue is full.
    func append(_ packet: [UInt8]) -> Bool { append(contentsOf: [packet]) }

    /// Takes all packets or, where they don't all find room, none: then it says false.
    func append(contentsOf added: [[UInt8]]) -> Bool {
        let isTaken = packets.withLock { packets in
            guard packets.count + added.count <= limit else { return false }
            packets += added
            return true
        }
        var one: UInt64 = 1
        if isTaken { _ = unsafe write(arrival.raw, &one, MemoryLayout<UInt64>.size) }
        return isTaken
    }

    /// Waits for packets and takes at most `count`.
    func take(_ count: Int, timeout: Int32, wake: WakeEvent) throws(TransportError) -> [[UInt8]] {
        if packets.withLock(\.isEmpty) {
            guard try wake.wait(for: arrival.raw, events: POLLIN, timeout: timeout) == .ready else { return [] }
            var arrivals: UInt64 = 0
            _ = unsafe read(arrival.raw, &arrivals, MemoryLayout<UInt64>.size)
        }
        return takeAll(limit: count)
    }

    /// What is there now.
    func takeAll(limit: Int = .max) -> [[UInt8]] {
        packets.withLock { packets in
            let taken = Array(packets.prefix(limit))
            packets.removeFirst(taken.count)
            return taken
        }
    }
}
