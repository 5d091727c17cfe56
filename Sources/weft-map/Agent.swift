// SPDX-License-Identifier: Apache-2.0
import Dispatch
import Glibc
import Synchronization
import Weft
import WeftCommand
import WeftTunnelMap

/// Keeps a tunnel map as a file and a fleet want it, and peers' health as probes find it.
final class Agent: Sendable {
    private struct State {
        var file: MapFile
        var fleet: Fleet
        var prober: Prober?
        /// What was complained of last, so that it is said once.
        var complaints: Set<String> = []
        var needsAnotherTry = false
        /// The last revision of etcd that the fleet has, and that the map has.
        var revision: Int64 = 0
        var appliedRevision: Int64 = 0
        /// Whether the map has entries of a predecessor's fleet, and ours has yet to say what is to be: they stay meanwhile.
        var awaitsFleet = false
        /// When the wish was last asked for.
        var appliedAt = Instant(nanoseconds: 0)
        var isClosed = false
        /// See ``numbers(of:)``.
        var interfaces: [UInt32] = []
    }

    /// More at a time would bury the log.
    private static let complaintLimit = 10

    let map: TunnelMap
    private let log: Log
    private let state: Mutex<State>
    private let wake = DispatchSemaphore(value: 0)

    /// Loads the map or takes it over, and gives it what the file says, before anything is attached.
    init(_ file: MapFile, root: String, _ log: Log) throws(CommandFailure) {
        var options = TunnelMap.Options(name: file.name)
        options.capacity = file.capacity
        do throws(TunnelMapError) {
            map = try TunnelMap.load(options)
        } catch {
            throw CommandFailure(.failed, error.description)
        }
        self.log = log
        state = Mutex(State(file: file, fleet: Fleet(root: root), interfaces: Self.numbers(of: file)))
    }

    /// Brings the map to what is wanted now, and attaches it.
    func start(waitingForFleet: Bool) throws(CommandFailure) {
        do {
            if waitingForFleet {
                try map.inherit()
                state.withLock { $0.awaitsFleet = true }
            }
            try apply()
            try state.withLock { state throws(TunnelMapError) in try attach(state.file) }
            map.removeOtherLayouts()
        } catch {
            throw CommandFailure(.failed, "\(error)")
        }
        switch map.origin {
        case .new: log.info("loaded for \(map.capacity) prefixes")
        case .takenOver: log.info("took over \(map.list().count) prefixes")
        case .replacing(let layout): log.info("replaced a map of layout \(layout)")
        }
    }

    /// The numbers of the interfaces that matter. One that is made anew has another number, and nothing attached.
    private static func numbers(of file: MapFile) -> [UInt32] {
        let names =
            [file.interface] + file.decapsulate + file.devices.values.sorted()
            + file.fleet.interfaces.union(file.entries.lazy.flatMap(\.nexthops).map(\.interface)).sorted()
        return names.map { unsafe if_nametoindex($0) }
    }

    private func attach(_ file: MapFile) throws(TunnelMapError) {
        try map.setLocals(Set(file.local).union(file.entries.lazy.flatMap(\.nexthops).compactMap(\.local)))
        for underlay in file.decapsulate {
            try map.attachDecapsulation(
                to: underlay, overlay: file.interface, verifyingSources: file.verifiesSources)
        }
        try map.attach(to: file.interface)
        map.detach(exceptFrom: [file.interface], decapsulation: file.decapsulate)
    }

    /// A new file. Its name and capacity count from the next start on.
    func take(_ file: MapFile) {
        let failure = state.withLock { state -> TunnelMapError? in
            state.file = file
            state.interfaces = Self.numbers(of: file)
            do throws(TunnelMapError) { try attach(file) } catch { return error }
            return nil
        }
        if let failure { log.warning("\(failure)") }
        applyOrComplain()
    }

    /// What happened in etcd, up to a revision. The thread of ``follow()`` brings it to the map, many changes at once if they come
    /// faster than that.
    func take(revision: Int64, _ change: (inout Fleet) -> [String]) {
        let complaints = state.withLock { state in
            state.revision = revision
            state.awaitsFleet = false
            return change(&state.fleet)
        }
        for complaint in complaints { log.warning(complaint) }
        wake.signal()
    }

    /// Applies what etcd brings, until ``close()``.
    func follow() {
        while true {
            wake.wait()
            let (revision, isClosed) = state.withLock { ($0.revision, $0.isClosed) }
            if isClosed { return }
            guard state.withLock({ $0.appliedRevision }) != revision else { continue }
            applyOrComplain()
            state.withLock { $0.appliedRevision = revision }
            log.info("etcd revision \(revision) applied")
        }
    }

    /// Ends ``follow()``.
    func close() {
        state.withLock { $0.isClosed = true }
        wake.signal()
    }

    func setProber(_ prober: Prober) {
        state.withLock { $0.prober = prober }
        applyOrComplain()
    }

    /// Tries again what failed, such as for an interface that wasn't there, and does what only time brings about.
    func tryAgain() {
        let isDue = state.withLock {
            $0.needsAnotherTry || $0.fleet.changes(between: $0.appliedAt, and: SystemCall.now())
        }
        if isDue { applyOrComplain() }
        let (file, old) = state.withLock { ($0.file, $0.interfaces) }
        let new = Self.numbers(of: file)
        guard new != old else { return }
        log.info("interfaces have changed")
        take(file)
    }

    private func applyOrComplain() {
        do throws(ReconcileError) { try apply() } catch { log.warning("\(error)") }
    }

    private func apply() throws(ReconcileError) {
        try state.withLock { state throws(ReconcileError) in
            let now = SystemCall.now()
            state.appliedAt = now
            var wish = state.fleet.wish(of: state.file, at: now, hasInterface: TunnelMap.hasInterface)
            let new = Set(wish.complaints).subtracting(state.complaints).sorted()
            for complaint in new.prefix(Self.complaintLimit) { log.warning(complaint) }
            if new.count > Self.complaintLimit { log.warning("and \(new.count - Self.complaintLimit) more") }
            state.complaints = Set(wish.complaints)
            state.needsAnotherTry = true
            var probed = Set(wish.probes.keys)
            if state.awaitsFleet {
                let own = Set(wish.entries.map(\.prefix))
                wish.entries += map.list().filter { entry in
                    !own.contains(entry.prefix) && entry.nexthops.allSatisfy { TunnelMap.hasInterface($0.interface) }
                }
                probed.formUnion(map.peers().lazy.filter(\.isProbed).map(\.name))
            }
            let changes = try map.reconcile(wish.entries, probed: probed, senders: wish.senders)
            state.needsAnotherTry = wish.lacksInterface
            if changes.writes > 0 {
                log.info("\(changes.added) added, \(changes.changed) changed, \(changes.removed) removed")
            }
            let peers = map.peers()
            state.prober?.setTargets(
                Prober.Targets(
                    wish, numbers: Dictionary(uniqueKeysWithValues: peers.map { ($0.name, $0.number) }),
                    health: Dictionary(uniqueKeysWithValues: peers.map { ($0.name, $0.isHealthy) })))
        }
    }

    /// A peer's health changed.
    func set(_ change: HealthMachine.Change) {
        do throws(TunnelMapError) {
            let count = try map.setHealth(of: change.peer, to: change.isHealthy)
            log.info("\(change.peer) is \(change.isHealthy ? "healthy" : "dead"): \(count) prefixes")
        } catch {
            // It has just been taken out.
            guard case .noPeer = error else { return log.warning("\(error)") }
        }
    }

    /// What the prober noticed.
    func take(_ notice: Prober.Notice) {
        switch notice {
        case .clock(let peer, let ahead):
            log.warning("\(peer)'s clock is \(Self.words(forClock: ahead)) ours: its health doesn't depend on that")
        case .suspectsItself:
            log.warning(
                "no peer answers any more: the fault may be this host's own, so all stay as they were for a moment")
        case .hearsAgain: log.info("peers answer again")
        case .strangers(let count, let address):
            log.warning("ignored \(count) probes from addresses that are no peer's, such as \(address)")
        }
    }

    /// As in "31.0 s ahead of".
    static func words(forClock ahead: Double) -> String {
        let tenths = Int((abs(min(max(ahead, -1e12), 1e12)) * 10).rounded())
        return "\(tenths / 10).\(tenths % 10) s \(ahead < 0 ? "behind" : "ahead of")"
    }
}
