// SPDX-License-Identifier: Apache-2.0
import Glibc

/// An overlay in memory: a test injects packets as if an interface had sent them, and takes what was delivered.
public final class MemoryOverlay: OverlayReceiver, OverlaySender {
    private let injected: MemoryQueue
    private let delivered: MemoryQueue
    private let wake: WakeEvent

    /// - Parameter limit: packets that each direction holds.
    public init(wake: WakeEvent, limit: Int = 4096) throws(TransportError) {
        injected = try MemoryQueue(limit: limit)
        delivered = try MemoryQueue(limit: limit)
        self.wake = wake
    }

    /// Hands a packet to the data plane; false when the queue is full.
    @discardableResult
    public func inject(_ packet: [UInt8]) -> Bool { injected.append(packet) }

    /// Takes what the data plane has delivered so far, in order.
    public func takeDelivered() -> [[UInt8]] { delivered.takeAll() }

    public func receive(into batch: inout FromOverlay, timeout: Int32) throws(TransportError) {
        var next = try injected.take(1, timeout: timeout, wake: wake).first
        while let packet = next {
            batch.append { (space: inout MutableRawSpan) in
                unsafe space.copy(packet.span.bytes, to: 0)
                return packet.count
            }
            next = batch.hasRoom ? injected.takeAll(limit: 1).first : nil
        }
    }

    /// Delivers packets one by one: a superpacket is cut again, as an interface without offloads would have it.
    public func send(
        _ packets: borrowing ToOverlay, in arena: borrowing PacketArena,
        failed: (_ group: Int, _ packets: Int, SendFailure) -> Void
    ) {
        var cutter = SuperpacketCutter()
        for index in 0..<packets.groups.count {
            cutter.take(packets.groups[index], of: packets, in: arena)
            var whole: [[UInt8]] = []
            let isCut = cutter.cut(packets.groups[index].offload) { whole.append($0.copied) }
            if !isCut || !delivered.append(contentsOf: whole) {
                failed(index, packets.groups[index].count, .refused(ENOBUFS))
            }
        }
    }

    public func send(_ packet: RawSpan) -> SendFailure? {
        delivered.append(packet.copied) ? nil : .refused(ENOBUFS)
    }
}
