// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Synchronization
import Weft

/// Waits for many sockets on one thread, and runs the tasks that prefer it: who relays on it changes threads never.
public final class SocketReactor: TaskExecutor {
    /// What a socket is waited for.
    enum Direction: Int, Sendable {
        case reading
        case writing
    }

    private struct Waiter {
        let continuation: CheckedContinuation<OverlaySocketError?, Never>
        var deadline: Instant?
    }

    private struct State {
        var jobs: [UnownedJob] = []
        var waiters: [UInt64: Waiter] = [:]
        /// Of them, those that end by themselves.
        var timed: Set<UInt64> = []
        /// Waits that ended before they had begun.
        var ended: [UInt64: OverlaySocketError] = [:]
        var lastToken: UInt64 = 0
        var isClosed = false
    }

    private let state = Mutex(State())
    private let arrival: ArrivalEvent
    /// One for each direction, so that a socket can be in both.
    private let sets: [SharedDescriptor]

    public init() throws(TransportError) {
        arrival = try ArrivalEvent()
        var sets: [SharedDescriptor] = []
        for _ in 0..<2 {
            let raw = try SystemCall.retrying("watch sockets") { weft_watch_set() }
            sets.append(SharedDescriptor(FileDescriptor(owning: raw)))
        }
        self.sets = sets
    }

    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        state.withLock { $0.jobs.append(job) }
        arrival.signal()
    }

    /// Runs tasks and ends waits until ``close()``, on the calling thread.
    public func run() {
        var tokens = [UInt64](repeating: 0, count: 256)
        while true {
            let (isClosed, timeout) = state.withLock { state in
                (state.isClosed, state.jobs.isEmpty ? Self.patience(state) : 0)
            }
            if isClosed { return }
            look(&tokens, timeout: timeout)
            endTimed(at: SystemCall.now())
            let jobs = state.withLock { state in
                defer { state.jobs.removeAll(keepingCapacity: true) }
                return state.jobs
            }
            for job in jobs { unsafe job.runSynchronously(on: asUnownedTaskExecutor()) }
        }
    }

    /// Ends ``run()``, from any thread; tasks that prefer it go no further. Twice is harmless.
    public func close() {
        state.withLock { $0.isClosed = true }
        arrival.signal()
    }

    /// Milliseconds until the next deadline.
    private static func patience(_ state: State) -> Int32 {
        guard let next = state.timed.compactMap({ state.waiters[$0]?.deadline }).min() else { return -1 }
        let now = SystemCall.now()
        return next <= now ? 0 : Int32(clamping: (next.nanoseconds - now.nanoseconds) / 1_000_000 + 1)
    }

    /// Waits until something is ready, and ends its waits.
    private func look(_ tokens: inout [UInt64], timeout: Int32) {
        var polled = ([arrival.raw] + sets.map { $0.raw }).map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        guard unsafe poll(&polled, nfds_t(polled.count), timeout) > 0 else { return }
        if polled[0].revents != 0 { arrival.clear() }
        for (index, set) in sets.enumerated() where polled[index + 1].revents != 0 {
            let count = unsafe weft_take_ready(set.raw, &tokens, Int32(tokens.count))
            for token in tokens.prefix(Int(max(count, 0))) { end(token, nil) }
        }
    }

    private func endTimed(at now: Instant) {
        let late = state.withLock { state in
            state.timed.filter { state.waiters[$0]?.deadline.map { $0 <= now } ?? false }
        }
        for token in late { end(token, .timedOut) }
    }

    // MARK: - Waits

    /// Names a wait that is about to begin.
    func makeToken() -> UInt64 {
        state.withLock { state in
            state.lastToken += 1
            return state.lastToken
        }
    }

    /// Ends a wait, which may not have begun.
    func end(_ token: UInt64, _ error: OverlaySocketError?) {
        let waiter = state.withLock { state in
            state.timed.remove(token)
            let waiter = state.waiters.removeValue(forKey: token)
            if waiter == nil, let error { state.ended[token] = error }
            return waiter
        }
        waiter?.continuation.resume(returning: error)
    }

    /// Changes when a wait ends by itself.
    func setDeadline(_ deadline: Instant?, of token: UInt64) {
        state.withLock { state in
            guard state.waiters[token] != nil else { return }
            state.waiters[token]?.deadline = deadline
            if deadline == nil { state.timed.remove(token) } else { state.timed.insert(token) }
        }
        arrival.signal()
    }

    /// Waits until a descriptor is ready, or has an error.
    func wait(
        _ token: UInt64, for raw: Int32, _ direction: Direction, until deadline: Instant?
    ) async throws(OverlaySocketError) {
        let error = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let early = state.withLock { state -> OverlaySocketError? in
                    if let early = state.ended.removeValue(forKey: token) { return early }
                    state.waiters[token] = Waiter(continuation: continuation, deadline: deadline)
                    if deadline != nil { state.timed.insert(token) }
                    return nil
                }
                if let early { return continuation.resume(returning: early) }
                if !watch(raw, direction, token) { end(token, .closed) }
                if deadline != nil { arrival.signal() }
            }
        } onCancel: {
            end(token, .cancelled)
        }
        state.withLock { _ = $0.ended.removeValue(forKey: token) }
        if let error { throw error }
    }

    /// Has the kernel tell once.
    private func watch(_ raw: Int32, _ direction: Direction, _ token: UInt64) -> Bool {
        weft_watch(sets[direction.rawValue].raw, raw, direction == .writing ? 1 : 0, token) == 0
    }
}
