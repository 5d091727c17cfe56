// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// A data path that threads pump: for each queue one from the overlay to the underlay and one back, and one that keeps
/// time.
///
/// Drivers give it the ends of their queues; an in-memory overlay and underlay drive the same pumps in tests.
public final class PumpedDatapath: Datapath {
    /// The four ends of one queue.
    public struct Queue: Sendable {
        let fromOverlay: any OverlayReceiver
        let toOverlay: any OverlaySender
        let fromUnderlay: any UnderlayReceiver
        let toUnderlay: any UnderlaySender

        public init(
            fromOverlay: any OverlayReceiver, toOverlay: any OverlaySender, fromUnderlay: any UnderlayReceiver,
            toUnderlay: any UnderlaySender
        ) {
            self.fromOverlay = fromOverlay
            self.toOverlay = toOverlay
            self.fromUnderlay = fromUnderlay
            self.toUnderlay = toUnderlay
        }
    }

    /// How often keep-alives are looked for, whatever the queues do: milliseconds.
    static let tick: Int32 = 100
    /// How long a pump waits for packets before it looks for a newer snapshot: milliseconds.
    static let patience: Int32 = 500

    private let engine: Engine
    private let queues: [Queue]
    private let timerSender: any UnderlaySender
    private let wake: WakeEvent
    private let pinsThreads: Bool
    private let clock: @Sendable () -> Instant
    private let onTick: @Sendable (Instant) -> Void
    private let onClose: @Sendable () -> Void
    private let hasRun = Atomic(false)
    private let isClosing = Atomic(false)
    private let failure = Mutex<DatapathError?>(nil)

    /// - Parameters:
    ///   - engine: needs two lanes a queue and one more.
    ///   - timerSender: where keep-alives are sent; an end of its own, since an end is one thread's.
    ///   - wake: what the ends wait on beside their own descriptors.
    ///   - pinsThreads: keeps each pump on a processor of its own, as far as there are enough.
    ///   - clock: read once per batch.
    ///   - onTick: called every 100 ms on the thread that keeps time, after keep-alives were sent.
    ///   - onClose: called when closing begins, for transports that don't wait on `wake`.
    public init(
        engine: Engine, queues: [Queue], timerSender: any UnderlaySender, wake: WakeEvent,
        pinsThreads: Bool = false,
        clock: @escaping @Sendable () -> Instant = SystemCall.now,
        onTick: @escaping @Sendable (Instant) -> Void = { _ in },
        onClose: @escaping @Sendable () -> Void = {}
    ) {
        self.engine = engine
        self.queues = queues
        self.timerSender = timerSender
        self.wake = wake
        self.pinsThreads = pinsThreads
        self.clock = clock
        self.onTick = onTick
        self.onClose = onClose
    }

    public func close() {
        isClosing.store(true, ordering: .releasing)
        wake.signal()
        onClose()
    }

    public func run() throws(DatapathError) {
        guard !hasRun.exchange(true, ordering: .relaxed) else { throw .alreadyRun }
        var threads: [RunningThread] = []
        do throws(TransportError) {
            for (index, queue) in queues.enumerated() {
                threads.append(
                    try start("weft-tx", 2 * index) { [self] () throws(DatapathError) in try pumpFromOverlay(queue) })
                threads.append(
                    try start("weft-rx", 2 * index + 1) { [self] () throws(DatapathError) in
                        try pumpFromUnderlay(queue)
                    })
            }
        } catch {
            fail(.transport(error))
        }
        do throws(DatapathError) {
            try keepTime()
        } catch {
            fail(error)
        }
        for thread in threads { thread.join() }
        if let error = failure.withLock({ $0 }) { throw error }
    }

    /// Keeps the first error and stops everything.
    private func fail(_ error: DatapathError) {
        failure.withLock { $0 = $0 ?? error }
        close()
    }

    private func keepTime() throws(DatapathError) {
        var lane = try makeLane()
        var batch = ToUnderlay(room: 0)
        var nextSweep = clock()
        while !isClosing.load(ordering: .acquiring) {
            lane.refresh()
            let now = clock()
            batch.removeAll()
            lane.keepAlives(into: &batch, at: now)
            if !batch.runs.isEmpty {
                timerSender.send(batch) { index, datagrams, failure in
                    count(failure, of: batch.runs[index], datagrams, in: lane)
                }
            }
            if now >= nextSweep {
                engine.sweep(at: now)
                nextSweep = now.advanced(by: .seconds(1))
            }
            onTick(now)
            do throws(TransportError) {
                _ = try wake.wait(for: -1, events: 0, timeout: Self.tick)
            } catch {
                throw .transport(error)
            }
        }
    }

    private func pumpFromOverlay(_ queue: Queue) throws(DatapathError) {
        var lane = try makeLane()
        var packets = FromOverlay()
        var datagrams = ToUnderlay(sourcePorts: queue.toUnderlay.sourcePorts)
        var tooBig = TooBigReplies()
        var backoff = Backoff()
        while !isClosing.load(ordering: .acquiring) {
            do throws(TransportError) {
                packets.removeAll()
                try queue.fromOverlay.receive(into: &packets, timeout: Self.patience)
                backoff.succeeded()
            } catch {
                try backoff.failed(error, wake)
            }
            lane.refresh()
            guard !packets.packets.isEmpty else { continue }
            let now = clock()
            datagrams.removeAll()
            lane.encapsulate(&packets, into: &datagrams, at: now)
            queue.toUnderlay.send(datagrams) { index, lost, failure in
                let run = datagrams.runs[index]
                count(failure, of: run, lost, in: lane)
                if failure == .tooLong, let origin = run.origin {
                    let packet = packets.arena.bytes.extracting(packets.packets[origin].place.range)
                    tooBig.reply(to: packet, run, queue, now)
                }
            }
        }
    }

    private func pumpFromUnderlay(_ queue: Queue) throws(DatapathError) {
        var lane = try makeLane()
        var datagrams = FromUnderlay()
        var packets = ToOverlay()
        var backoff = Backoff()
        while !isClosing.load(ordering: .acquiring) {
            do throws(TransportError) {
                datagrams.removeAll()
                try queue.fromUnderlay.receive(into: &datagrams, timeout: Self.patience)
                backoff.succeeded()
            } catch {
                try backoff.failed(error, wake)
            }
            lane.refresh()
            guard !datagrams.buffers.isEmpty else { continue }
            packets.removeAll()
            lane.decapsulate(&datagrams, into: &packets, at: clock())
            guard !packets.groups.isEmpty else { continue }
            queue.toOverlay.send(packets, in: datagrams.arena) { index, lost, _ in
                let group = packets.groups[index]
                lane.countDrop(.overlayRefused, vni: packets.packets[group.first].vni, packets: lost)
            }
        }
    }

    private func makeLane() throws(DatapathError) -> Lane {
        do throws(EngineError) {
            return try Lane(engine)
        } catch {
            throw .engine(error)
        }
    }

    private func count(_ failure: SendFailure, of run: ToUnderlay.Run, _ datagrams: Int, in lane: borrowing Lane) {
        let reason: DropReason = failure == .tooLong ? .tooLongForUnderlay : .underlayRefused
        lane.countDrop(reason, vni: run.vni, packets: datagrams)
    }

    /// A started thread, so that an array can hold it.
    private final class RunningThread {
        private var thread: WorkerThread?

        init(_ thread: consuming WorkerThread) { self.thread = consume thread }

        func join() { thread.take()?.join() }
    }

    private func start(
        _ name: String, _ ordinal: Int, _ body: @escaping @Sendable () throws(DatapathError) -> Void
    ) throws(TransportError) -> RunningThread {
        let thread = try WorkerThread(
            name: queues.count > 1 ? "\(name)\(ordinal / 2)" : name,
            processor: pinsThreads ? UInt32(ordinal) : nil
        ) { [self] in
            do throws(DatapathError) {
                try body()
            } catch {
                fail(error)
            }
        }
        return RunningThread(thread)
    }
}
