// SPDX-License-Identifier: Apache-2.0
import Synchronization
import Weft
import WeftCommand

/// Once a second: saves how far counters of manual keys have come, and logs what changed in how packets are carried and why they
/// are dropped.
final class KeeperService: NodeService {
    let name = "weft-keeper"
    private let keys: Mutex<KeyKeeper>
    private let engine: Engine
    private let datapath: any TunnelDatapath
    private let log: Log
    private let wake: WakeEvent

    init(
        _ keys: consuming sending KeyKeeper, _ engine: Engine, _ datapath: any TunnelDatapath, _ log: Log
    ) throws(TransportError) {
        self.keys = Mutex(keys)
        self.engine = engine
        self.datapath = datapath
        self.log = log
        wake = try WakeEvent()
    }

    func run() {
        var drops = DropLog()
        var capabilities = datapath.capabilities
        while (try? wake.wait(for: -1, events: 0, timeout: 1000)) != .woken {
            save()
            if datapath.capabilities != capabilities {
                capabilities = datapath.capabilities
                log.info("going on with \(capabilities)")
            }
            for line in drops.lines(for: engine.totals(), at: SystemCall.now()) { log.info(line) }
        }
        // Packets have stopped: this is the last word.
        save()
    }

    private func save() { keys.withLock { $0.save(engine, log) } }

    func close() { wake.signal() }
}
