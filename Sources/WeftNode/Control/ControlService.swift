// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Synchronization
import Weft
import WeftCommand
import WeftConfig
import WeftControl
import WeftPair
import WeftUDP

/// The data process' side of what keeps a tunnel in keys: starts control processes, hands them what came for them, and does
/// what they ask, as far as it is theirs to ask.
final class ControlService: NodeService {
    let name = "weft-control"
    private let engine: Engine
    private let launcher: any ControlLauncher
    let links: [LinkKind: any ControlLink]
    private let log: Log
    private let wake: WakeEvent
    private let commands = Mutex<[Command]>([])
    private let hasCommands: ArrivalEvent
    private let isClosing = Atomic(false)
    private let hasLostSpawner = Atomic(false)
    private let lastRequest = Atomic<UInt64>(0)
    let state: Mutex<ControlStatus>

    /// What other threads ask.
    private enum Command {
        case serve(ServedConfiguration)
        /// Have the control process say how all are doing.
        case tellStatus(UInt64)
    }

    /// What the run's thread alone uses.
    private struct Run: ~Copyable {
        var supervision: ControlSupervision
        var end: DataEnd?
        var served: ServedConfiguration
        var executor: ControlExecutor
        var addresses: LocalAddresses
        let names: NameRelay
        var nextActivity = Instant(nanoseconds: 0)
        var processID: Int32?
        /// The newest request for statuses that was answered.
        var statusTold: UInt64 = 0
        /// What was last published, and when that is due again.
        var published = Published()
        var nextPublication = Instant(nanoseconds: 0)
        /// Whether nobody is left who starts control processes.
        var isLast = false
        /// Until when a closing control process may take leave.
        var leave: Instant?
    }

    /// What others hear of at once when it changes; the rest is too long to be copied for each datagram.
    private struct Published: Equatable {
        var ends: UInt64?
        var workingSince: Instant?
        var told: UInt64 = 0
    }

    private let initial: ServedConfiguration
    private let mark: UInt32
    private let paths: PathService?
    private let mover: PortMover?

    /// How often a control process hears of networks' signs of life.
    private static let activityPeriod = Duration.milliseconds(50)
    /// How long somebody who asks waits, in milliseconds.
    private static let statusPatience = 250
    private static let leavePatience = Duration.seconds(1)
    /// How old what nobody asked for may be.
    private static let publicationPeriod = Duration.seconds(1)

    /// - Parameters:
    ///   - links: where control datagrams come from; nobody else receives from them.
    ///   - wake: what ends the links' waits.
    ///   - mark: of the tunnel's own datagrams.
    ///   - paths: who follows peers; nil leaves them where the control process says.
    ///   - mover: chooses another port for calls in vain; nil calls all from the tunnel's own.
    init(
        _ served: ServedConfiguration, _ engine: Engine, _ launcher: any ControlLauncher,
        links: [LinkKind: any ControlLink], wake: WakeEvent, mark: UInt32 = 0, paths: PathService? = nil,
        mover: PortMover? = nil, _ log: Log
    ) throws(TransportError) {
        initial = served
        self.mark = mark
        self.paths = paths
        self.mover = mover
        self.engine = engine
        self.launcher = launcher
        self.links = links
        self.wake = wake
        self.log = log
        hasCommands = try ArrivalEvent()
        state = Mutex(ControlStatus(numbers: served.numbers))
    }

    /// Serves the peers or initiators of a changed file from now on.
    func reconfigure(
        _ file: TunnelConfiguration, tunnelled: [Prefix], servesKeys: Bool
    ) throws(RoleElectionError) {
        let served = try ServedConfiguration(
            file, name: initial.name, tunnelled: tunnelled, servesKeys: servesKeys,
            numbers: state.withLock { $0.numbers })
        let numbers = served.numbers
        state.withLock { $0.numbers = numbers }
        commands.withLock { $0.append(.serve(served)) }
        hasCommands.signal()
    }

    func close() {
        isClosing.store(true, ordering: .releasing)
        hasCommands.signal()
    }

    /// The status of now where the control process answers at once, else what it told last. Waits a moment, on the thread of who
    /// asks: packets have nothing to do with it.
    func currentStatus() -> ControlStatus {
        let number = lastRequest.wrappingAdd(1, ordering: .relaxed).newValue
        commands.withLock { $0.append(.tellStatus(number)) }
        hasCommands.signal()
        for _ in 0..<Self.statusPatience {
            let status = state.withLock { $0 }
            // One that doesn't work can't answer.
            if status.told >= number || status.process?.workingSince == nil { return status }
            usleep(1000)
        }
        return state.withLock { $0 }
    }

    /// The process that starts control processes; nil where it is this one, and once it's gone.
    var spawner: Int32? {
        hasLostSpawner.load(ordering: .relaxed) ? nil : (launcher as? SpawnedControl)?.spawner
    }

    var complaint: String? {
        state.withLock { $0.complaint(at: SystemCall.now()) }
            ?? (hasLostSpawner.load(ordering: .relaxed)
                ? "the spawner is gone: the tunnel ends with its control process" : nil)
    }

    func run() throws(ServiceFailure) {
        let now = SystemCall.now()
        let names = NameRelay(initial, mark: mark)
        var run = Run(
            supervision: ControlSupervision(at: now), end: nil, served: initial,
            executor: ControlExecutor(initial, engine, links, names, log, paths: paths),
            addresses: LocalAddresses(mark: mark), names: names)
        while true {
            let now = SystemCall.now()
            if isClosing.load(ordering: .acquiring), takeLeave(&run, at: now) { return }
            do throws(TransportError) {
                try supervise(&run, at: now)
            } catch {
                if !run.isLast {
                    log.warning("the spawner is gone (\(error)): the tunnel ends with its control process")
                }
                run.isLast = true
                hasLostSpawner.store(true, ordering: .relaxed)
            }
            if run.isLast, run.end == nil, run.leave == nil {
                throw ServiceFailure("the spawner and the control process are gone: nobody is left to renew keys")
            }
            do throws(PairFailure) {
                try exchange(&run, at: now)
            } catch {
                lose(&run, error)
            }
            publish(&run, at: now)
            wait(run)
        }
    }

    // MARK: The process

    private func supervise(_ run: inout Run, at now: Instant) throws(TransportError) {
        while !run.isLast, let event = try launcher.nextEvent() {
            switch event {
            case .started(let process): run.processID = process
            case .ended(let how):
                run.end = nil
                run.processID = nil
                run.executor.begin()
                run.supervision.ended(how, at: now)
                if run.leave == nil, let (cause, _) = run.supervision.lastEnd {
                    log.warning("the control process ended: \(cause)")
                }
            }
        }
        guard run.leave == nil else { return }
        while let action = run.supervision.act(at: now) {
            switch action {
            case .start:
                run.end = DataEnd(
                    try PairSocket.makePair { (other) throws(TransportError) in try launcher.start(with: other) })
            case .ping(let number): run.end?.send(.ping(number))
            case .kill(let why):
                log.warning("the control process is ended: \(why)")
                launcher.kill()
                // Without a spawner it is at least let go of.
                if run.isLast { run.end = nil }
            }
        }
    }

    /// The pair is of no more use: the process ends, if it hasn't.
    private func lose(_ run: inout Run, _ failure: PairFailure) {
        run.end = nil
        guard failure != .closed, run.leave == nil else { return }
        if case .kill(let why) = run.supervision.violated(failure.description) {
            log.warning("the control process is ended: \(why)")
        }
        launcher.kill()
    }

    /// Lets the control process tell all peers that we go; whether it has, or has had its time.
    private func takeLeave(_ run: inout Run, at now: Instant) -> Bool {
        guard let until = run.leave else {
            run.end?.send(.close)
            run.leave = now.advanced(by: Self.leavePatience)
            return run.end == nil
        }
        guard !run.executor.hasLeft, run.end != nil, now < until else {
            launcher.kill()
            return true
        }
        return false
    }

    // MARK: The pair

    private func exchange(_ run: inout Run, at now: Instant) throws(PairFailure) {
        for command in takeCommands() {
            let end = run.supervision.workingSince == nil ? nil : run.end
            switch command {
            case .serve(let served):
                run.served = served
                run.executor.serve(served)
                if let end { served.tell(end, presences: nil, granted: []) }
                run.names.serve(served)
                if let end { run.names.tell(end, at: now) }
            case .tellStatus(let number): end?.send(.tellStatus(number))
            }
        }
        guard let end = run.end else { return }
        let (records, failure) = receive(end)
        for record in records { take(record, &run, end, at: now) }
        if let failure { throw failure }
        guard run.supervision.workingSince != nil else { return try end.flush() }
        for (kind, link) in links {
            // A link that is broken will say so to whoever sends by it.
            var failure: PairFailure?
            try? link.receive(timeout: 0, wake: wake) { bytes, source in
                guard failure == nil, bytes.count <= ToControl.longestDatagram else { return }
                do throws(PairFailure) {
                    _ = try end.offer(.datagram(kind, from: source, bytes))
                } catch { failure = error }
            }
            if let failure { throw failure }
        }
        let isElsewhere = run.addresses.changed(at: now) {
            // A key server is dialled, and has nobody to tell.
            run.served.peers.isEmpty ? [] : Set(engine.networks().compactMap(\.endpoint?.address))
        }
        if isElsewhere { end.send(.addressesChanged) }
        try run.names.carry(to: end, at: now)
        if now >= run.nextActivity {
            run.nextActivity = now.advanced(by: Self.activityPeriod)
            try run.executor.tellActivity(end)
        }
        try run.executor.answer(end)
        try end.flush()
    }

    /// What came, and whether it is the last: a process that took leave is gone by the time that its last words are read.
    private func receive(_ end: DataEnd) -> (records: [ToData], failure: PairFailure?) {
        var records: [ToData] = []
        do throws(PairFailure) { try end.receive { records.append($0) } } catch { return (records, error) }
        return (records, nil)
    }

    private func take(_ record: ToData, _ run: inout Run, _ end: DataEnd, at now: Instant) {
        switch record {
        case .hello(ToData.version):
            let isFirst = run.supervision.ends == 0
            run.supervision.hello(at: now)
            run.served.tell(
                end, presences: isFirst ? nil : run.served.presences(in: engine),
                granted: isFirst ? [] : run.executor.granted)
            run.names.tell(end, at: now)
            run.executor.forgetTold()
        case .hello(let version):
            log.warning(
                "the control process speaks version \(version) of the pair's language: install both programs anew")
        case .pong(let number): run.supervision.pong(number)
        case .statusTold(let number): run.statusTold = number
        default: run.executor.take(record, at: now)
        }
    }

    private func takeCommands() -> [Command] {
        hasCommands.clear()
        return commands.withLock { commands in
            defer { commands.removeAll() }
            return commands
        }
    }

    private func wait(_ run: borrowing Run) {
        let now = SystemCall.now()
        let isWorking = run.supervision.workingSince != nil
        let next = min(
            run.supervision.nextDeadline, isWorking ? run.nextActivity : .distantFuture,
            run.leave ?? .distantFuture)
        let milliseconds =
            next > now ? Int32(min(1000, (next.nanoseconds - now.nanoseconds) / 1_000_000 + 1)) : 0
        var waiting = [
            pollfd(fd: hasCommands.raw, events: Int16(POLLIN), revents: 0),
            pollfd(fd: run.isLast ? -1 : launcher.descriptor, events: Int16(POLLIN), revents: 0),
        ]
        if let end = run.end {
            waiting.append(
                pollfd(fd: end.descriptor, events: Int16(POLLIN | (end.isWaiting ? POLLOUT : 0)), revents: 0))
        }
        if isWorking {
            waiting += (links.values.map(\.descriptor) + run.names.descriptors)
                .map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        }
        _ = unsafe poll(&waiting, nfds_t(waiting.count), milliseconds)
    }

    private func publish(_ run: inout Run, at now: Instant) {
        let new = Published(
            ends: run.supervision.ends, workingSince: run.supervision.workingSince, told: run.statusTold)
        guard new != run.published || now >= run.nextPublication else { return }
        run.published = new
        run.nextPublication = now.advanced(by: Self.publicationPeriod)
        let status = run.executor.status
        mover?.look(at: status, run.served, now)
        let process = ControlStatus.Process(
            id: run.processID, workingSince: run.supervision.workingSince, ends: run.supervision.ends,
            lastEnd: run.supervision.lastEnd?.cause, lastEndAt: run.supervision.lastEnd?.at,
            dropped: run.end?.dropped ?? 0)
        state.withLock { state in
            state.peers = status.peers
            state.names = status.names
            state.initiators = status.initiators
            state.turnedAway = status.turnedAway
            state.process = process
            state.told = run.statusTold
            state.granted = run.executor.granted
            state.refused = run.executor.refused
        }
    }
}
