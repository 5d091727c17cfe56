// SPDX-License-Identifier: Apache-2.0
import CWeftCapability
import CWeftLinux
import Glibc
import Weft
import WeftCommand
import WeftEtcd
import WeftTunnelMap

/// `weft-map run`: keeps a map as its file and etcd want it, until it is stopped. The map goes on forwarding after that.
enum MapRun {
    static func run(_ words: Arguments) throws(CommandFailure) {
        if let lack = TunnelMap.lackOfPrivileges() { throw CommandFailure(.failed, lack.description) }
        let path = words.operands[0]
        var root = words.value(of: "prefix") ?? Fleet.usualPrefix
        if !root.hasSuffix("/") { root += "/" }
        let access = try EtcdAccess(words)
        unsafe weft_name_thread("weft")
        var signals = Signals()
        var stamp = FileStamp(path)
        let file = try load(path)
        let lock = try RunLock(file.name)
        let log = Log(name: "tunnel-map \(file.name)")
        let key = try file.key.map { path throws(CommandFailure) in try fleetKey(path) }
        let agent = try Agent(file, root: root, log)
        let member = access.map { FleetMember($0, root: root, file, agent, log) }
        try agent.start(waitingForFleet: member != nil)
        let prober = try key.map { key throws(CommandFailure) in
            try makeProber(file, key.take(), agent)
        }
        // Capabilities are a thread's: drop them before there is another. Maps are written with CAP_BPF.
        if !Privileges.drop(keeping: [CAP_BPF]) { log.warning("could not drop capabilities") }
        if let prober { agent.setProber(prober) }
        let probing = try prober.map { prober throws(CommandFailure) in try thread("weft-probe") { prober.run() } }
        let following = try member.map { member throws(CommandFailure) in try thread("weft-etcd") { member.follow() } }
        let applying = try member.map { _ throws(CommandFailure) in try thread("weft-apply") { agent.follow() } }
        let leasing = try member.map { member throws(CommandFailure) in try thread("weft-lease") { member.register() } }
        Ready.tell()
        var status = AgentStatus()
        status.write(file.name)
        while true {
            let arrival = signals.wait(seconds: 1)
            if arrival == .end || arrival == .endBeforeStart { break }
            let now = FileStamp(path)
            if now != stamp || arrival == .reload {
                stamp = now
                reload(path, file, agent, member, log)
            }
            agent.tryAgain()
            let clocks = prober?.clocks().mapValues { ($0 * 10).rounded() / 10 } ?? [:]
            if clocks != status.clocks {
                status.clocks = clocks
                status.write(file.name)
            }
        }
        prober?.close()
        member?.close()
        agent.close()
        probing?.join()
        following?.join()
        applying?.join()
        leasing?.join()
        AgentStatus.remove(file.name)
        log.info("stopped; the map goes on forwarding, `weft-map down \(file.name)` removes it")
        lock.release()
    }

    private static func thread(
        _ name: String, _ body: @escaping @Sendable () -> Void
    ) throws(CommandFailure) -> WorkerThread {
        do throws(TransportError) {
            return try WorkerThread(name: name, body)
        } catch {
            throw CommandFailure(.failed, error.description)
        }
    }

    private static func load(_ path: String) throws(CommandFailure) -> MapFile {
        do throws(MapFileError) {
            return try MapFile.load(path: path)
        } catch {
            throw CommandFailure(.failed, error.description)
        }
    }

    private static func reload(_ path: String, _ old: MapFile, _ agent: Agent, _ member: FleetMember?, _ log: Log) {
        do throws(MapFileError) {
            let new = try MapFile.load(path: path)
            if new.name != old.name || new.agent != old.agent || new.key != old.key || new.probing != old.probing {
                log.warning("\(path): name, agent, key and health change at the next start only")
            }
            agent.take(new)
            member?.take(new)
        } catch {
            log.warning("\(error); it is left as it was")
        }
    }

    /// Hands a key that can't be copied through a closure.
    private final class KeyBox {
        private var key: FleetKey?

        init(_ key: consuming FleetKey) { self.key = consume key }

        func take() -> FleetKey? { key.take() }
    }

    private static func fleetKey(_ path: String) throws(CommandFailure) -> KeyBox {
        do throws(MapFileError) {
            return KeyBox(try FleetKey(contentsOf: path))
        } catch {
            throw CommandFailure(.failed, error.description)
        }
    }

    private static func makeProber(
        _ file: MapFile, _ key: consuming FleetKey?, _ agent: Agent
    ) throws(CommandFailure) -> Prober {
        guard let key else { throw CommandFailure(.failed, "the fleet key is in use") }
        do throws(TransportError) {
            return try Prober(
                name: file.agent, key: key, timing: file.probing, changed: { agent.set($0) },
                noticed: { agent.take($0) })
        } catch {
            throw CommandFailure(.failed, "\(error); is another agent running on this host?")
        }
    }
}

/// What tells a file's versions apart.
private struct FileStamp: Equatable {
    private let values: [Int]

    init(_ path: String) {
        var status = stat()
        // SAFETY: the kernel fills a structure that outlives the call.
        let found = unsafe stat(path, &status) == 0
        values = found ? [status.st_mtim.tv_sec, status.st_mtim.tv_nsec, Int(status.st_ino), Int(status.st_size)] : []
    }
}
