// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
import Glibc
import Synchronization
import Weft
import WeftCommand
import WeftEtcd
import WeftTunnelMap

/// An agent's part in a fleet: its record in etcd under a lease, and a watch over everyone's.
///
/// Whatever etcd does, the map forwards by what was last known.
final class FleetMember: Sendable {
    private let access: EtcdAccess
    /// Reads and watches.
    private let reader: EtcdClient
    /// Holds the lease, which must not wait for the other's long answers.
    private let registrar: EtcdClient
    private let root: String
    private let agent: Agent
    private let log: Log
    private let stopped = Atomic<Bool>(false)
    /// Somebody deleted our record, or the lease that it was under is gone.
    private let isForgotten = Atomic<Bool>(false)
    private let watch = Mutex<EtcdWatch?>(nil)
    private let record: Mutex<(key: String, value: [UInt8])?>
    /// Seconds that our record outlives us.
    private static let leaseSeconds = 5

    init(_ access: EtcdAccess, root: String, _ file: MapFile, _ agent: Agent, _ log: Log) {
        self.access = access
        reader = EtcdClient(access)
        registrar = EtcdClient(access)
        self.root = root
        self.agent = agent
        self.log = log
        record = Mutex(Self.record(of: file, root))
    }

    private static func record(of file: MapFile, _ root: String) -> (key: String, value: [UInt8])? {
        guard let value = try? JSONEncoder().encode(AgentRecord(file)) else { return nil }
        return (Fleet.key(root: root, agent: file.agent), [UInt8](value))
    }

    /// Announces what a new file says, within a lease's third.
    func take(_ file: MapFile) { record.withLock { $0 = Self.record(of: file, root) } }

    /// Ends both loops; the record goes when its lease runs out, or at once if etcd can be reached.
    func close() {
        stopped.store(true, ordering: .releasing)
        reader.cancel()
        watch.withLock { $0?.cancel() }
    }

    private var isStopped: Bool { stopped.load(ordering: .acquiring) }

    /// Waits, but not beyond ``close()`` or, where that matters, the loss of our record.
    private func pause(_ seconds: Double, unlessForgotten: Bool = false) {
        let end = ContinuousClock.now + .seconds(seconds)
        while !isStopped, ContinuousClock.now < end {
            if unlessForgotten, isForgotten.load(ordering: .acquiring) { return }
            usleep(20_000)
        }
    }

    /// Follows etcd until ``close()``.
    ///
    /// Each connection begins with a read of everything: what lies between two of them may be another disk, an older copy or
    /// another cluster, and none of that can be told from where the watch left off.
    func follow() {
        var pauseSeconds = 0.1
        var isAway = false
        while !isStopped {
            do throws(EtcdError) {
                let (items, tooLong, position) = try reader.items(under: root)
                if isAway { log.info("etcd is back") }
                isAway = false
                log.info("etcd revision \(position.revision): \(items.count) keys")
                for key in tooLong { log.warning("\(key): its value is too long; it is left as it was") }
                takeAll(items, tooLong, position.revision)
                pauseSeconds = 0.1
                try run(after: position)
            } catch .outdated(let why) {
                log.info("etcd \(why): reading everything again")
            } catch {
                if !isAway, !isStopped { log.warning("\(error); forwarding goes on") }
                isAway = true
                pause(pauseSeconds)
                pauseSeconds = min(pauseSeconds * 2, 1)
            }
        }
    }

    private func run(after position: EtcdClient.Position) throws(EtcdError) {
        let new = EtcdWatch(access) { [self] events, revision in takeEvents(events, revision) }
        watch.withLock { $0 = new }
        if isStopped { new.cancel() }
        try new.run(reader, prefix: root, after: position)
    }

    private func takeAll(_ items: [EtcdClient.Item], _ tooLong: [String], _ revision: Int64) {
        agent.take(revision: revision) { fleet in
            var new = fleet
            new.keepOnly(Set(items.map(\.key) + tooLong), at: SystemCall.now())
            let complaints = items.compactMap { item in Self.put(item, &new) }
            fleet = new
            return complaints
        }
    }

    private func takeEvents(_ events: [EtcdClient.Event], _ revision: Int64) {
        if let own = record.withLock({ $0?.key }), events.contains(.delete(key: own)) {
            isForgotten.store(true, ordering: .releasing)
        }
        agent.take(revision: revision) { fleet in
            events.compactMap { event in
                switch event {
                case .put(let item): return Self.put(item, &fleet)
                case .delete(let key):
                    fleet.delete(key, at: SystemCall.now())
                    return nil
                }
            }
        }
    }

    private static func put(_ item: EtcdClient.Item, _ fleet: inout Fleet) -> String? {
        do throws(MapFileError) {
            try fleet.put(item.key, item.value)
            return nil
        } catch {
            return "\(error); it is left as it was"
        }
    }

    /// Keeps our record in etcd until ``close()``.
    func register() {
        var lease: Int64?
        var written: [UInt8]?
        while !isStopped {
            do throws(EtcdError) {
                if let lease { try registrar.keepAlive(lease) }
                let current: Int64
                if let lease {
                    current = lease
                } else {
                    current = try registrar.grantLease(seconds: Self.leaseSeconds)
                    lease = current
                    written = nil
                }
                if isForgotten.exchange(false, ordering: .acquiringAndReleasing) { written = nil }
                if let record = record.withLock({ $0 }), written != record.value {
                    try registrar.put(record.key, record.value, lease: current)
                    written = record.value
                }
                pause(Double(Self.leaseSeconds) / 3, unlessForgotten: true)
            } catch .leaseLost {
                log.info("etcd has ended our lease: registering again")
                lease = nil
                isForgotten.store(false, ordering: .releasing)
            } catch {
                // A connection that broke without a word would keep the watch waiting for ever.
                watch.withLock { $0?.cancel() }
                pause(0.5)
            }
        }
        if let lease { try? registrar.revokeLease(lease) }
    }
}
