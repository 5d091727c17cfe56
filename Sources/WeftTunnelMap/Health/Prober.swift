// SPDX-License-Identifier: Apache-2.0
import CWeftTunnelMap
import Glibc
import Synchronization
import Weft

/// Probes peers and answers their probes, and tells who is dead or alive.
public final class Prober: Sendable {
    private struct State {
        var machine: HealthMachine
        var targets: [String: IPAddress] = [:]
        /// Peers' numbers in the map, for the mark that leads a probe to its own nexthop.
        var numbers: [String: UInt32] = [:]
        var replays = ReplayGuard()
    }

    private let name: String
    private let key: FleetKey
    private let v4: ProbeSocket
    /// Nil on a host without IPv6.
    private let v6: ProbeSocket?
    private let stopped = Atomic<Bool>(false)
    private let state: Mutex<State>
    private let changed: @Sendable (HealthMachine.Change) -> Void

    /// Opens the sockets.
    /// - Parameters:
    ///   - name: who we are to our peers.
    ///   - changed: called on the thread of ``run()``.
    public init(
        name: String, key: consuming FleetKey, timing: ProbeTiming,
        changed: @escaping @Sendable (HealthMachine.Change) -> Void
    ) throws(TransportError) {
        v4 = try ProbeSocket(.v4)
        do throws(TransportError) {
            v6 = try ProbeSocket(.v6)
        } catch {
            guard error.code == EAFNOSUPPORT else { throw error }
            v6 = nil
        }
        self.name = name
        self.key = key
        self.changed = changed
        state = Mutex(State(machine: HealthMachine(timing)))
    }

    /// Sets who is probed, at which address; from any thread.
    /// - Parameters:
    ///   - numbers: the peers' numbers in the map.
    ///   - health: what is known of those that are new to us.
    public func setTargets(_ targets: [String: IPAddress], numbers: [String: UInt32], health: [String: Bool]) {
        state.withLock { state in
            state.targets = targets
            state.numbers = numbers
            state.machine.setPeers(Set(targets.keys), health: health, at: SystemCall.now())
        }
    }

    /// Probes until ``close()``.
    public func run() {
        while !stopped.load(ordering: .acquiring) {
            let now = SystemCall.now()
            let due = state.withLock { $0.machine.advance(to: now) }
            for change in due.changes { changed(change) }
            for probe in due.probes { send(probe) }
            wait(until: state.withLock { $0.machine.next })
            // As many as there are, but not for ever.
            for _ in 0..<1024 {
                guard let (bytes, source) = v4.receive(limit: Self.limit) else { break }
                take(bytes, from: source)
            }
            for _ in 0..<1024 {
                guard let (bytes, source) = v6?.receive(limit: Self.limit) else { break }
                take(bytes, from: source)
            }
        }
    }

    /// One byte more than a message has: what is longer isn't taken for one.
    private static let limit = ProbeMessage.byteCount + 1

    /// Ends ``run()`` within a twentieth of a second; from any thread.
    public func close() { stopped.store(true, ordering: .releasing) }

    /// Waits for a datagram, but not beyond the next probe, nor long enough to miss new targets.
    private func wait(until next: Instant) {
        let now = SystemCall.now()
        let milliseconds = next > now ? min((next.nanoseconds - now.nanoseconds) / 1_000_000 + 1, 50) : 0
        var descriptors = [
            pollfd(fd: v4.raw, events: Int16(POLLIN), revents: 0),
            pollfd(fd: v6?.raw ?? -1, events: Int16(POLLIN), revents: 0),
        ]
        // SAFETY: as many descriptors as are passed, in an array that outlives the call; a negative one is passed over.
        _ = unsafe poll(&descriptors, nfds_t(descriptors.count), Int32(milliseconds))
    }

    /// Nanoseconds since 1970: other hosts have no other clock.
    private static func clock() -> UInt64 {
        var time = timespec()
        _ = unsafe clock_gettime(CLOCK_REALTIME, &time)
        return UInt64(max(0, time.tv_sec)) &* 1_000_000_000 &+ UInt64(max(0, time.tv_nsec))
    }

    private func send(_ probe: HealthMachine.Probe) {
        guard let address = state.withLock({ $0.targets[probe.peer] }) else { return }
        send(
            ProbeMessage(.probe, from: name, to: probe.peer, nonce: probe.nonce, time: Self.clock()),
            to: Endpoint(address, port: UInt16(WEFT_PORT_PROBE)))
    }

    private func send(_ message: ProbeMessage, to endpoint: Endpoint) {
        guard let bytes = message.encoded(key) else { return }
        let number = state.withLock { $0.numbers[message.receiver] }
        let mark = number.map { WEFT_MARK_PROBE | $0 & ~WEFT_MARK_MASK } ?? 0
        if endpoint.address.family == .v4 {
            v4.send(bytes, to: endpoint, mark: mark)
        } else {
            v6?.send(bytes, to: endpoint, mark: mark)
        }
    }

    private func take(_ bytes: [UInt8], from source: Endpoint) {
        guard let message = ProbeMessage(bytes, key), message.receiver == name else { return }
        switch message.kind {
        case .probe:
            guard state.withLock({ $0.replays.admit(message, now: Self.clock()) }) else { return }
            send(
                ProbeMessage(.answer, from: name, to: message.sender, nonce: message.nonce, time: Self.clock()),
                to: source)
        case .answer:
            let change = state.withLock {
                $0.machine.answer(from: message.sender, nonce: message.nonce, at: SystemCall.now())
            }
            if let change { changed(change) }
        }
    }
}
