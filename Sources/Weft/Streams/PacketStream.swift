// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// One kind's queue: pumps fill it, its consumer exchanges it for an empty one.
final class PacketStream: Sendable {
    private struct State: ~Copyable {
        /// Nil while nobody consumes.
        var waiting: ToConsumer?
        var arrival: ArrivalEvent?
    }

    private let state = Mutex(State())

    /// False when there is a consumer.
    func attach(_ queue: consuming ToConsumer, _ arrival: ArrivalEvent) -> Bool {
        var queue: ToConsumer? = consume queue
        return state.withLock { state in
            guard state.arrival == nil else { return false }
            state.waiting = queue.take()
            state.arrival = arrival
            return true
        }
    }

    func detach() {
        let forgotten = state.withLock { state in
            state.arrival = nil
            return state.waiting.take()
        }
        _ = consume forgotten
    }

    func append(
        _ part: FromUnderlay.Buffer, in arena: borrowing PacketArena, by transport: TransportID
    ) -> Int {
        state.withLock { state in
            guard let arrival = state.arrival, var waiting = state.waiting.take() else { return 0 }
            let wasEmpty = waiting.datagrams.isEmpty
            let bytes = arena.bytes.extracting(part.place.range)
            var offset = 0
            var taken = 0
            repeat {
                let end = min(offset + part.segmentSize, bytes.byteCount)
                let datagram = bytes.extracting(offset..<end)
                if waiting.append(datagram, from: part.source, to: part.local, by: transport) { taken += 1 }
                offset = end
            } while offset < bytes.byteCount
            state.waiting = consume waiting
            if wasEmpty, taken > 0 { arrival.signal() }
            return taken
        }
    }

    /// - Parameter consumer: who asks; another may have taken its place.
    func exchange(_ batch: inout ToConsumer, by consumer: ArrivalEvent) {
        state.withLock { state in
            guard state.arrival === consumer, var waiting = state.waiting.take() else { return }
            swap(&waiting, &batch)
            state.waiting = consume waiting
        }
    }
}
