// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization

/// Takes control datagrams that passed a ``ControlGate``, those with a tag of ours first. One thread at a time uses it.
public final class ControlConsumer: Sendable {
    /// The three batches that its queues are exchanged for.
    public struct Batches: ~Copyable, Sendable {
        var ours = ToConsumer()
        var calls = ToConsumer(capacity: ControlConsumer.strangers, room: 128 * 1024)
        var resets = ToConsumer(capacity: ControlConsumer.strangers, room: 32 * 1024)

        public init() {}

        /// All that was taken, in the order of its worth.
        public func forEach(_ body: (RawSpan, AddressPair) -> Void) {
            func each(_ batch: borrowing ToConsumer) {
                for index in 0..<batch.datagrams.count {
                    let datagram = batch.datagrams[index]
                    body(batch[index], AddressPair(datagram.source, from: datagram.local))
                }
            }
            each(ours)
            each(resets)
            each(calls)
        }

        public var isEmpty: Bool { ours.datagrams.isEmpty && calls.datagrams.isEmpty && resets.datagrams.isEmpty }
    }

    /// Datagrams of strangers that wait at most, of each kind.
    static let strangers = 64

    private let streams: [PacketStream]
    private let arrival: ArrivalEvent
    private let release: @Sendable () -> Void

    /// - Parameters:
    ///   - streams: one for each of ``ControlGate/Queue``, to which `arrival` was attached.
    ///   - release: called once nobody takes any more.
    init(_ streams: [PacketStream], _ arrival: ArrivalEvent, release: @escaping @Sendable () -> Void) {
        self.streams = streams
        self.arrival = arrival
        self.release = release
    }

    deinit {
        release()
        for stream in streams { stream.detach() }
    }

    /// Readable (POLLIN) when something waits.
    public var descriptor: Int32 { arrival.raw }

    /// Takes all that waits, without waiting.
    public func take(into batches: inout Batches) {
        batches.ours.removeAll()
        batches.calls.removeAll()
        batches.resets.removeAll()
        // Cleared first: what comes in between only wakes once too often.
        arrival.clear()
        streams[ControlGate.Queue.ours.rawValue].exchange(&batches.ours, by: arrival)
        streams[ControlGate.Queue.calls.rawValue].exchange(&batches.calls, by: arrival)
        streams[ControlGate.Queue.resets.rawValue].exchange(&batches.resets, by: arrival)
    }

    /// Waits at most `timeout` milliseconds, or until `wake` is signalled, for datagrams and takes all of them.
    public func receive(into batches: inout Batches, timeout: Int32, wake: WakeEvent) throws(TransportError) {
        take(into: &batches)
        guard batches.isEmpty else { return }
        guard try wake.wait(for: descriptor, events: POLLIN, timeout: timeout) == .ready else { return }
        take(into: &batches)
    }
}
