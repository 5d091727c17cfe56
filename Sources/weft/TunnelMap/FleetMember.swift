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
    private let client: EtcdClient
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

    init(_ url: String, root: String, _ file: MapFile, _ agent: Agent, _ log: Log) throws(CommandFailure) {
        do throws(EtcdError) {
            client = try EtcdClient(url)
        } catch {
            throw CommandFailure(.usage, error.description)
        }
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
    func follow() {
        var revision: Int64?
        var pauseSeconds = 0.1
        var wasReached = true
        while !isStopped {
            do throws(EtcdError) {
                if revision == nil {
                    let (items, read) = try client.items(under: root)
                    log.info("etcd revision \(read): \(items.count) keys")
                    takeAll(items, read)
                    revision = read
                }
                if !wasReached { log.info("etcd is back") }
                wasReached = true
                pauseSeconds = 0.1
                let last = Mutex(revision ?? 0)
                defer { revision = last.withLock { $0 } }
                try run(from: (revision ?? 0) + 1) { [self] events, number in
                    takeEvents(events, number)
                    last.withLock { $0 = number }
                }
            } catch .compacted {
                log.info("etcd has compacted what was watched: reading everything again")
                revision = nil
            } catch {
                if wasReached, !isStopped { log.warning("\(error); forwarding goes on") }
                wasReached = false
                pause(pauseSeconds)
                pauseSeconds = min(pauseSeconds * 2, 1)
            }
        }
    }

    private func run(
        from revision: Int64, _ changed: @escaping @Sendable ([EtcdClient.Event], Int64) -> Void
    ) throws(EtcdError) {
        let new = EtcdWatch(changed)
        watch.withLock { $0 = new }
        if isStopped { new.cancel() }
        try new.run(client, prefix: root, from: revision)
    }

    private func takeAll(_ items: [EtcdClient.Item], _ revision: Int64) {
        agent.take(revision: revision) { fleet in
            var new = fleet
            new.keepOnly(Set(items.map(\.key)), at: SystemCall.now())
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
                if let lease { try client.keepAlive(lease) }
                let current: Int64
                if let lease {
                    current = lease
                } else {
                    current = try client.grantLease(seconds: Self.leaseSeconds)
                    lease = current
                    written = nil
                }
                if isForgotten.exchange(false, ordering: .acquiringAndReleasing) { written = nil }
                if let record = record.withLock({ $0 }), written != record.value {
                    try client.put(record.key, record.value, lease: current)
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
        if let lease { try? client.revokeLease(lease) }
    }
}
