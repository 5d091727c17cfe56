// SPDX-License-Identifier: Apache-2.0

/// Where a thread of an underlay transport sends what came from the network into the data plane: data to the engine and
/// on to the overlay, other kinds to their streams. All of it happens on this thread, and data is never copied.
public struct FromUnderlayEnd: ~Copyable {
    public let transport: UnderlayTransport
    private let overlay: any OverlaySender
    private var lane: Lane
    private var partition = Partition()
    private var packets = ToOverlay()

    init(_ transport: UnderlayTransport, _ lane: consuming Lane, overlay: any OverlaySender) {
        self.transport = transport
        self.lane = lane
        self.overlay = overlay
    }

    /// Sends a batch; an empty one too at least twice a second, so that replaced keys are wiped in time. The batch's
    /// memory is used until this returns, and its buffers are gone then.
    /// - Returns: false, and nothing is taken, once the transport was removed.
    @discardableResult
    public mutating func send(_ batch: inout FromUnderlay, at now: @autoclosure () -> Instant) -> Bool {
        lane.refresh()
        guard transport.isRegistered else { return false }
        guard !batch.buffers.isEmpty else { return true }
        let now = now()
        guard !Partition.isAllData(batch) else {
            open(&batch, at: now)
            return true
        }
        partition.begin(&batch)
        while partition.next(&batch) {
            handOver(batch, at: now)
            if !batch.buffers.isEmpty { open(&batch, at: now) }
        }
        return true
    }

    private mutating func open(_ batch: inout FromUnderlay, at now: Instant) {
        packets.removeAll()
        lane.decapsulate(&batch, into: &packets, at: now)
        guard !packets.groups.isEmpty else { return }
        overlay.send(packets, in: batch.arena) { index, lost, _ in
            let group = packets.groups[index]
            lane.countDrop(.overlayRefused, in: packets.packets[group.first].network, packets: lost)
        }
    }

    private func handOver(_ batch: borrowing FromUnderlay, at now: Instant) {
        for index in 0..<partition.others.count {
            let part = partition.others[index]
            let became = transport.streams.handOver(part, in: batch.arena, by: transport.id, at: now)
            lane.countHandedOver(part.kind, became, of: part.datagrams.count)
        }
    }
}

extension FromUnderlay.Buffer {
    /// Datagrams in the buffer; one of no bytes is one.
    var count: Int { max((place.count + segmentSize - 1) / segmentSize, 1) }
}
