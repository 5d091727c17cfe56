// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Synchronization
import Weft

/// The receiving end of a UDP socket: one thread's.
public final class UDPReceiver: UnderlayReceiver {
    private let socket: UDPSocket
    private let wake: WakeEvent
    private let messages: Mutex<MessageBuffers>

    /// - Parameter batch: buffers that one call receives.
    public init(_ socket: UDPSocket, wake: WakeEvent, batch: Int = 16) {
        self.socket = socket
        self.wake = wake
        messages = Mutex(MessageBuffers(capacity: batch))
    }

    public func receive(into batch: inout FromUnderlay, timeout: Int32) throws(TransportError) {
        // Waits only when nothing is there.
        var code = messages.withLock { messages in receive(into: &batch, through: &messages) }
        if code == EAGAIN {
            guard try wake.wait(for: socket.raw, events: POLLIN, timeout: timeout) == .ready else { return }
            code = messages.withLock { messages in receive(into: &batch, through: &messages) }
        }
        guard code == 0 || code == EAGAIN || code == EINTR else {
            throw TransportError("receive from the underlay", code: code)
        }
    }

    /// Returns 0 or an `errno`.
    private func receive(into batch: inout FromUnderlay, through messages: inout MessageBuffers) -> Int32 {
        let count = min(batch.capacity, messages.capacity)
        let slotSize = batch.slotSize
        let got = lend(batch.arena.mutableBytes, in: slotSize, count, to: &messages)
        guard got >= 0 else { return errno }
        for index in 0..<Int(got) {
            let received = messages.received(index)
            batch.buffers.append(
                FromUnderlay.Buffer(
                    place: PacketRange(offset: index * slotSize, count: received.count),
                    segmentSize: received.control.segmentSize, source: received.source.endpoint,
                    local: received.control.local, trafficClass: received.control.trafficClass,
                    isTruncated: received.isTruncated))
        }
        return 0
    }

    private func lend(
        _ bytes: consuming MutableRawSpan, in slotSize: Int, _ count: Int, to messages: inout MessageBuffers
    ) -> Int32 {
        unsafe bytes.withUnsafeMutableBytes { memory in
            guard let base = memory.baseAddress else { return 0 }
            // Safe: each message gets a slot of its own, and the kernel is done with them when the call returns.
            for index in 0..<count {
                unsafe messages.prepare(index, room: base + index * slotSize, count: slotSize)
            }
            return messages.receive(socket.raw, count: count)
        }
    }
}
