// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// The streams of all kinds but data: to each goes what the underlay brings of its kind, and one consumer takes it.
///
/// A consumer comes and goes at any time. What nobody takes, or what comes faster than its consumer takes it, is dropped
/// under the kind's own reason; other kinds don't notice.
public final class PacketStreams: Sendable {
    private let streams: [PacketStream]
    /// The queues for control datagrams beside their kind's own one, which takes what bears a tag of ours.
    private let calls = PacketStream()
    private let resets = PacketStream()
    private let gate = Mutex<ControlGate?>(nil)

    public init() { streams = PacketKind.allCases.map { _ in PacketStream() } }

    /// Takes a kind's datagrams from now on, until the consumer is closed or forgotten.
    /// - Parameters:
    ///   - capacity: datagrams that wait for the consumer at most.
    ///   - room: bytes that those share.
    /// - Throws: ``StreamError``.
    public func consume(
        _ kind: PacketKind, capacity: Int = 256, room: Int = 512 * 1024
    ) throws(StreamError) -> StreamConsumer {
        guard kind != .data else { throw .engineTakesData }
        let arrival: ArrivalEvent
        do throws(TransportError) {
            arrival = try ArrivalEvent()
        } catch {
            throw .transport(error)
        }
        let stream = streams[Int(kind.rawValue)]
        guard stream.attach(ToConsumer(capacity: capacity, room: room), arrival) else { throw .taken(kind) }
        return StreamConsumer(kind, stream, arrival, capacity: capacity, room: room)
    }

    /// Takes control datagrams that a gate lets pass, or all where there is none, until the consumer is forgotten.
    /// - Throws: ``StreamError``.
    public func consumeControl(by gate: ControlGate?) throws(StreamError) -> ControlConsumer {
        let arrival: ArrivalEvent
        do throws(TransportError) {
            arrival = try ArrivalEvent()
        } catch {
            throw .transport(error)
        }
        let own = streams[Int(PacketKind.control.rawValue)]
        guard own.attach(ToConsumer(), arrival) else { throw .taken(.control) }
        let batches = ControlConsumer.Batches()
        _ = calls.attach(ToConsumer(matching: batches.calls), arrival)
        _ = resets.attach(ToConsumer(matching: batches.resets), arrival)
        self.gate.withLock { $0 = gate }
        return ControlConsumer([own, calls, resets], arrival) { [weak self] in self?.gate.withLock { $0 = nil } }
    }

    /// Hands over a part of a batch, on the thread that received it: what became of its datagrams.
    func handOver(
        _ part: Partition.Part, in arena: borrowing PacketArena, by transport: TransportID, at now: Instant
    ) -> HandedOver {
        var result = HandedOver()
        guard part.kind == .control, let gate = gate.withLock({ $0 }) else {
            result.taken = streams[Int(part.kind.rawValue)].append(part.datagrams, in: arena, by: transport)
            return result
        }
        gate.decide(on: part.datagrams, in: arena, at: now) { decision, run in
            switch decision {
            case .take(let queue): result.taken += stream(of: queue).append(run, in: arena, by: transport)
            case .stranger: result.strangers += run.count
            case .overLimit: result.overLimit += run.count
            }
        }
        return result
    }

    private func stream(of queue: ControlGate.Queue) -> PacketStream {
        switch queue {
        case .ours: streams[Int(PacketKind.control.rawValue)]
        case .calls: calls
        case .resets: resets
        }
    }
}
