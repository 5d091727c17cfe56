// SPDX-License-Identifier: Apache-2.0
import Synchronization
import Weft
import WeftControl
import WeftUDP

/// Runs a control machine over a link: carries its datagrams and tells it the time.
public final class ControlLoop<Machine: ControlMachine>: Sendable {
    /// What one thread at a time uses, behind the lock.
    private struct State: @unchecked Sendable {
        let machine: Machine
    }

    private let state: Mutex<State>
    private let link: any ControlLink
    private let wake: WakeEvent
    private let isClosing = Atomic(false)

    /// The longest wait in milliseconds: what another thread made the machine want to do is noticed by then.
    private static var longestWait: Int32 { 50 }

    /// - Parameters:
    ///   - link: nobody else receives from it. `wake` is what ends its waits.
    ///   - make: makes the machine, which nobody else may keep.
    public init(
        over link: any ControlLink, wake: WakeEvent, _ make: () throws -> Machine
    ) throws {
        state = Mutex(State(machine: try make()))
        self.link = link
        self.wake = wake
    }

    /// Runs until ``close()``, in the caller's thread; then the machine tells all other ends that we go.
    /// - Parameter each: called with the machine in each round, once it has done what is due.
    public func run(_ each: (Machine, Instant) -> Void = { _, _ in }) {
        var wait: Int32 = 0
        while !isClosing.load(ordering: .acquiring) {
            var arrived: [(bytes: [UInt8], source: AddressPair)] = []
            guard (try? link.receive(timeout: wait, wake: wake, { arrived.append(($0, $1)) })) != nil else { break }
            let deadline = state.withLock { state in
                let machine = state.machine
                let now = SystemCall.now()
                for datagram in arrived { machine.receive(datagram.bytes.span, from: datagram.source, now: now) }
                machine.advance(to: now)
                each(machine, now)
                flush(machine, now)
                return machine.nextDeadline
            }
            let now = SystemCall.now()
            // Rounded up, or a deadline within a millisecond would be waited for in a spin.
            wait =
                deadline > now
                ? Int32(min(UInt64(Self.longestWait), (deadline.nanoseconds - now.nanoseconds) / 1_000_000 + 1)) : 0
        }
        withMachine { machine, now in machine.close(at: now) }
    }

    /// Runs `body` with the machine, from any thread, and sends what it then has to say.
    @discardableResult
    public func withMachine<Result: Sendable>(_ body: (Machine, Instant) throws -> Result) rethrows -> Result {
        try state.withLock { state in
            let machine = state.machine
            let result = try body(machine, SystemCall.now())
            let now = SystemCall.now()
            machine.advance(to: now)
            flush(machine, now)
            return result
        }
    }

    private func flush(_ machine: Machine, _ now: Instant) {
        machine.flush(now: now) { datagram, target in link.send(unsafe datagram.bytes, to: target) }
    }

    /// Ends ``run(_:)`` within a moment; twice is harmless.
    public func close() {
        isClosing.store(true, ordering: .releasing)
        wake.signal()
    }
}
