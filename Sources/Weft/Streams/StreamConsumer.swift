// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization

/// Who takes the datagrams of one kind. One thread at a time uses it; it may be closed from any.
public final class StreamConsumer: Sendable {
    public let kind: PacketKind
    private let stream: PacketStream
    private let arrival: ArrivalEvent
    private let capacity: Int
    private let room: Int
    private let isOpen = Atomic(true)

    init(_ kind: PacketKind, _ stream: PacketStream, _ arrival: ArrivalEvent, capacity: Int, room: Int) {
        self.kind = kind
        self.stream = stream
        self.arrival = arrival
        self.capacity = capacity
        self.room = room
    }

    deinit { close() }

    /// Stops consuming: what waits is forgotten, and another may take the kind. Twice is harmless.
    public func close() {
        guard isOpen.exchange(false, ordering: .acquiringAndReleasing) else { return }
        stream.detach()
        arrival.signal()
    }

    /// A batch for ``take(into:)``, with the room that the queue was given: the two are exchanged.
    public func makeBatch() -> ToConsumer { ToConsumer(capacity: capacity, room: room) }

    /// Readable (POLLIN) when something waits, for loops that wait for several things; valid as long as this lives.
    public var descriptor: Int32 { arrival.raw }

    /// Takes all that waits, without waiting. The datagrams are the caller's until the next call.
    public func take(into batch: inout ToConsumer) {
        batch.removeAll()
        guard isOpen.load(ordering: .acquiring) else { return }
        // Cleared first: what comes in between only wakes once too often.
        arrival.clear()
        stream.exchange(&batch, by: arrival)
    }

    /// Waits at most `timeout` milliseconds, or until `wake` is signalled, for datagrams and takes all of them.
    public func receive(
        into batch: inout ToConsumer, timeout: Int32, wake: WakeEvent
    ) throws(TransportError) {
        take(into: &batch)
        guard batch.datagrams.isEmpty, isOpen.load(ordering: .acquiring) else { return }
        guard try wake.wait(for: descriptor, events: POLLIN, timeout: timeout) == .ready else { return }
        take(into: &batch)
    }
}
