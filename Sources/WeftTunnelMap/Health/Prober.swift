// SPDX-License-Identifier: Apache-2.0
import CWeftTunnelMap
import Glibc
import Synchronization
import Weft

/// Probes peers and answers their probes, and tells who is dead or alive.
public final class Prober: Sendable {
    /// Who is probed, and what is known of those who may probe us.
    public struct Targets: Sendable {
        /// The address that each peer is probed at.
        public var addresses: [String: IPAddress]
        /// Peers' numbers in the map, for the mark that leads a probe to its own nexthop.
        public var numbers: [String: UInt32]
        /// What is known of those that are new to us.
        public var health: [String: Bool]
        /// Where probes may come from; what comes from elsewhere isn't looked at. Nil: anywhere.
        public var sources: Set<IPAddress>?
        /// Those who speak the second version of probes.
        public var newProbers: Set<String>
        /// Whether somebody may still need the first.
        public var holdsOldProbes: Bool

        public init(_ wish: Wish, numbers: [String: UInt32], health: [String: Bool]) {
            addresses = wish.probes
            self.numbers = numbers
            self.health = health
            sources = wish.sources
            newProbers = wish.newProbers
            holdsOldProbes = wish.holdsOldProbes
        }
    }

    /// What an operator should hear of.
    public enum Notice: Hashable, Sendable {
        /// A peer's clock is so many seconds ahead of ours.
        case clock(String, Double)
        /// Nobody answers any more.
        case suspectsItself
        case hearsAgain
        /// So many datagrams came from addresses that are nobody's, the last of them from this one.
        case strangers(Int, IPAddress)
    }

    private struct State {
        var machine: HealthMachine
        var targets: Targets?
        /// Those who have sent an authentic message of the second version.
        var newProbers: Set<String> = []
        /// Seconds that peers' clocks are ahead of ours.
        var clocks: [String: Double] = [:]
        /// Those whose clocks were noticed to be off.
        var noticedClocks: Set<String> = []
        var suspectsItself = false
        var strangers = 0
        var nextStrangersNotice = Instant(nanoseconds: 0)
    }

    private let name: String
    private let keys: ProbeKeys
    private let v4: ProbeSocket
    /// Nil on a host without IPv6.
    private let v6: ProbeSocket?
    private let stopped = Atomic<Bool>(false)
    private let state: Mutex<State>
    private let changed: @Sendable (HealthMachine.Change) -> Void
    private let noticed: @Sendable (Notice) -> Void

    /// A clock that is further off than this is worth a word, in seconds.
    private static let clockTolerance = 2.0

    /// Opens the sockets.
    /// - Parameters:
    ///   - name: who we are to our peers.
    ///   - changed: called on the thread of ``run()``, as is `noticed`.
    public init(
        name: String, key: consuming FleetKey, timing: ProbeTiming,
        changed: @escaping @Sendable (HealthMachine.Change) -> Void,
        noticed: @escaping @Sendable (Notice) -> Void = { _ in }
    ) throws(TransportError) {
        v4 = try ProbeSocket(.v4)
        do throws(TransportError) {
            v6 = try ProbeSocket(.v6)
        } catch {
            guard error.code == EAFNOSUPPORT else { throw error }
            v6 = nil
        }
        self.name = name
        keys = ProbeKeys(key)
        self.changed = changed
        self.noticed = noticed
        state = Mutex(State(machine: HealthMachine(timing)))
    }

    /// Sets who is probed, at which address; from any thread.
    public func setTargets(_ targets: Targets) {
        state.withLock { state in
            state.targets = targets
            let names = Set(targets.addresses.keys)
            state.clocks = state.clocks.filter { names.contains($0.key) }
            state.noticedClocks.formIntersection(names)
            state.newProbers.formIntersection(names)
            state.machine.setPeers(names, health: targets.health, at: SystemCall.now())
        }
    }

    /// How many seconds each peer's clock is ahead of ours, of those that have answered.
    public func clocks() -> [String: Double] { state.withLock { $0.clocks } }

    /// Probes until ``close()``.
    public func run() {
        while !stopped.load(ordering: .acquiring) {
            let now = SystemCall.now()
            let due = state.withLock { $0.machine.advance(to: now) }
            for change in due.changes { changed(change) }
            for probe in due.probes { send(probe) }
            tellOfOurselves(now)
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

    private func tellOfOurselves(_ now: Instant) {
        let notices = state.withLock { state -> [Notice] in
            var notices: [Notice] = []
            let suspects = state.machine.suspectsItselfSince != nil
            if suspects != state.suspectsItself { notices.append(suspects ? .suspectsItself : .hearsAgain) }
            state.suspectsItself = suspects
            return notices
        }
        notices.forEach(noticed)
    }

    private func send(_ probe: HealthMachine.Probe) {
        let (peer, isRepeated) = (probe.peer, probe.isRepeated)
        let (address, versions) = state.withLock { state -> (IPAddress?, [ProbeMessage.Version]) in
            guard let targets = state.targets else { return (nil, []) }
            // A peer may have gone back to an older release; one that isn't known may be old. What it can't read does no harm.
            let isNew = targets.newProbers.contains(peer) || state.newProbers.contains(peer)
            let needsOld = targets.holdsOldProbes && (!isNew || isRepeated)
            return (targets.addresses[peer], needsOld ? [.pairs, .fleet] : [.pairs])
        }
        guard let address else { return }
        for version in versions {
            send(
                ProbeMessage(.probe, version, from: name, to: probe.peer, nonce: probe.nonce, time: Self.clock()),
                to: Endpoint(address, port: UInt16(WEFT_PORT_PROBE)))
        }
    }

    private func send(_ message: ProbeMessage, to endpoint: Endpoint) {
        guard let bytes = message.encoded(keys) else { return }
        let number = state.withLock { $0.targets?.numbers[message.receiver] }
        let mark = number.map { WEFT_MARK_PROBE | $0 & ~WEFT_MARK_MASK } ?? 0
        if endpoint.address.family == .v4 {
            v4.send(bytes, to: endpoint, mark: mark)
        } else {
            v6?.send(bytes, to: endpoint, mark: mark)
        }
    }

    /// Whether a datagram's source is somebody's: what isn't costs no more than this look. Says now and then whose they were.
    private func isKnown(_ source: IPAddress) -> (isKnown: Bool, versions: Set<ProbeMessage.Version>, notice: Notice?) {
        let now = SystemCall.now()
        return state.withLock { state -> (Bool, Set<ProbeMessage.Version>, Notice?) in
            let sources = state.targets?.sources
            if state.targets != nil, sources?.contains(source) != false {
                return (true, state.targets?.holdsOldProbes == true ? [.fleet, .pairs] : [.pairs], nil)
            }
            state.strangers += 1
            guard now >= state.nextStrangersNotice else { return (false, [], nil) }
            let count = state.strangers
            state.strangers = 0
            state.nextStrangersNotice = now.advanced(by: .seconds(60))
            return (false, [], .strangers(count, source))
        }
    }

    private func take(_ bytes: [UInt8], from source: Endpoint) {
        let (isKnown, versions, notice) = isKnown(source.address)
        if let notice { noticed(notice) }
        guard isKnown, let message = ProbeMessage(bytes, keys, allowing: versions), message.receiver == name else {
            return
        }
        switch message.kind {
        case .probe:
            // One that comes a second time is answered a second time: whoever asked looks at the nonce.
            send(
                ProbeMessage(
                    .answer, message.version, from: name, to: message.sender, nonce: message.nonce,
                    time: Self.clock()), to: source)
        case .answer:
            let answer = state.withLock {
                $0.machine.answer(from: message.sender, nonce: message.nonce, at: SystemCall.now())
            }
            guard let answer else { return }
            if let change = answer.change { changed(change) }
            note(message)
        }
    }

    /// What a fresh answer tells of its sender.
    private func note(_ message: ProbeMessage) {
        let ahead = (Double(message.time) - Double(Self.clock())) / 1e9
        let notice = state.withLock { state -> Notice? in
            if message.version == .pairs { state.newProbers.insert(message.sender) }
            state.clocks[message.sender] = ahead
            guard abs(ahead) > Self.clockTolerance else {
                if abs(ahead) < Self.clockTolerance / 2 { state.noticedClocks.remove(message.sender) }
                return nil
            }
            return state.noticedClocks.insert(message.sender).inserted ? .clock(message.sender, ahead) : nil
        }
        if let notice { noticed(notice) }
    }
}
