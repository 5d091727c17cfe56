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
        _ packets: borrowing ToOverlay, in arena: borrowing PacketArena, failed: (Int, SendFailure) -> Void
    ) {
        for index in 0..<packets.groups.count {
            let group = packets.groups[index]
            var bytes: [UInt8] = []
            var next: Int? = group.first
            while let packet = next {
                bytes += arena.bytes.extracting(packets.packets[packet].place.range).copied
                next = packets.packets[packet].next
            }
            for packet in Self.cut(bytes, group.offload) where !delivered.append(packet) {
                failed(index, .refused(ENOBUFS))
            }
        }
    }

    private static func cut(_ superpacket: [UInt8], _ offload: Offload) -> [[UInt8]] {
        guard offload.kind != .none, let inner = unsafe InnerPacket(superpacket.span.bytes),
            let plan = unsafe try? SegmentPlan(superpacket.span.bytes, offload, inner)
        else { return [superpacket] }
        let segmenter = unsafe Segmenter(plan, inner, in: superpacket.span.bytes, at: 0)
        var buffer = superpacket
        return (0..<plan.count).map { index in
            var elements = buffer.mutableSpan
            var bytes = unsafe elements.mutableBytes
            let place = segmenter.cut(index, in: &bytes)
            return bytes.bytes.extracting(place.range).copied
        }
    }

    public func send(_ packet: RawSpan) -> SendFailure? {
        delivered.append(packet.copied) ? nil : .refused(ENOBUFS)
    }
}
