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

    /// Where other kinds of packets are consumed, and who is registered.
    public let plane: DataPlane
    /// The queues' underlay, which whoever answers a packet sends by.
    public let underlay: UnderlayTransport
    /// The queues' overlay.
    public let overlay: OverlayTransport
    private let engine: Engine
    private let queues: [Queue]
    private let wake: WakeEvent
    private let pinsThreads: Bool
    private let clock: @Sendable () -> Instant
    private let onTick: @Sendable (Instant) -> Void
    private let onClose: @Sendable () -> Void
    private let hasRun = Atomic(false)
    private let isClosing = Atomic(false)
    private let failure = Mutex<DatapathError?>(nil)
    /// Pumps that were added while it ran.
    private let added = Mutex<[RunningThread]>([])

    /// - Parameters:
    ///   - engine: needs two lanes a queue and one more.
    ///   - timerSender: where keep-alives are sent, and packets past routing; an end of its own, since an end is one
    ///     thread's.
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
        plane = DataPlane(engine: engine)
        underlay = plane.add(underlay: timerSender, name: "underlay")
        overlay = plane.add(overlay: queues.first?.toOverlay, name: "overlay")
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
                        try pumpFromUnderlay(queue.fromUnderlay, to: queue.toOverlay)
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
        // Nobody adds another one once closing began.
        for thread in threads + added.withLock(\.self) { thread.join() }
        plane.removeAll()
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
                underlay.send(batch) { index, datagrams, failure in
                    lane.countDrop(failure.reason, in: batch.runs[index].network, packets: datagrams)
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

    /// Takes what comes by one more end, on a thread of its own, from now until it's closed; then it is refused.
    ///
    /// It takes a lane of the engine's.
    /// - Parameter overlay: where opened packets go; an end that this pump alone uses.
    public func pump(_ receiver: any UnderlayReceiver, to overlay: any OverlaySender) throws(DatapathError) {
        do throws(TransportError) {
            try added.withLock { (added) throws(TransportError) in
                if isClosing.load(ordering: .acquiring) { return }
                added.append(
                    try start("weft-rx", 2 * queues.count) { [self] () throws(DatapathError) in
                        try pumpFromUnderlay(receiver, to: overlay)
                    })
            }
        } catch {
            throw .transport(error)
        }
    }

    private func pumpFromOverlay(_ queue: Queue) throws(DatapathError) {
        var end = FromOverlayEnd(overlay, try makeLane(), underlay: queue.toUnderlay, overlay: queue.toOverlay)
        var packets = FromOverlay()
        var backoff = Backoff()
        while !isClosing.load(ordering: .acquiring) {
            do throws(TransportError) {
                packets.removeAll()
                try queue.fromOverlay.receive(into: &packets, timeout: Self.patience)
                backoff.succeeded()
            } catch {
                try backoff.failed(error, wake)
            }
            end.send(&packets, at: clock())
        }
    }

    private func pumpFromUnderlay(
        _ receiver: any UnderlayReceiver, to overlay: any OverlaySender
    ) throws(DatapathError) {
        var end = FromUnderlayEnd(underlay, try makeLane(), overlay: overlay)
        var datagrams = FromUnderlay()
        var backoff = Backoff()
        while !isClosing.load(ordering: .acquiring) {
            do throws(TransportError) {
                datagrams.removeAll()
                try receiver.receive(into: &datagrams, timeout: Self.patience)
                backoff.succeeded()
            } catch {
                try backoff.failed(error, wake)
            }
            end.send(&datagrams, at: clock())
        }
    }

    private func makeLane() throws(DatapathError) -> Lane {
        do throws(EngineError) {
            return try Lane(engine)
        } catch {
            throw .engine(error)
        }
    }

    /// A started thread, so that an array can hold it.
    private final class RunningThread: Sendable {
        private let thread: Mutex<WorkerThread?>

        init(_ thread: consuming WorkerThread) { self.thread = Mutex(consume thread) }

        func join() { thread.withLock { $0.take() }?.join() }
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
