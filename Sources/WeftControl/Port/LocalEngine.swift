// SPDX-License-Identifier: Apache-2.0
import Weft

/// An engine in the same process: what is asked of it is done before the call returns.
public final class LocalEngine: EnginePort {
    private let engine: Engine
    private var localPrefixes: [Prefix] = []
    private let log: (String) -> Void
    private var events: [EngineEvent] = []

    /// - Parameter log: takes a line for people.
    public init(_ engine: Engine, log: @escaping (String) -> Void = { _ in }) {
        self.engine = engine
        self.log = log
    }

    public func install(_ pair: SAPair, for vni: UInt32, at now: Instant) {
        attempt(vni) { () throws(EngineError) in try engine.install(pair, for: vni, at: now) }
    }

    public func installReceive(spi: UInt32, key: PacketKey, expiry: Instant, for vni: UInt32, at now: Instant) {
        attempt(vni) { () throws(EngineError) in
            try engine.installReceive(spi: spi, key: key, expiry: expiry, for: vni, at: now)
        }
    }

    public func installTransmit(spi: UInt32, key: PacketKey, expiry: Instant, for vni: UInt32, at now: Instant) {
        attempt(vni) { () throws(EngineError) in
            try engine.installTransmit(spi: spi, key: key, expiry: expiry, for: vni, at: now)
        }
    }

    private func attempt(_ vni: UInt32, _ body: () throws(EngineError) -> Void) {
        do throws(EngineError) { try body() } catch { events.append(.refused(vni: vni, why: error.description)) }
    }

    // A network that was removed meanwhile needs neither.
    public func updateEndpoint(of vni: UInt32, to endpoint: Endpoint) {
        try? engine.updateEndpoint(of: vni, to: endpoint)
    }

    public func requestKeepAlive(of vni: UInt32) { try? engine.requestKeepAlive(of: vni) }

    public func activities(of vnis: [UInt32]) -> [NetworkActivity?] { engine.activities(of: vnis) }

    public func isNewestReceive(_ spi: UInt32, usedBy vni: UInt32) -> Bool {
        engine.isNewestReceive(spi, usedBy: vni)
    }

    public func apply(_ changes: GrantChanges) {
        events += refused(of: changes).map { .grantRefused(vni: $0) }
    }

    public func setLocalPrefixes(_ prefixes: [Prefix]) { localPrefixes = prefixes }

    public func nextEvent() -> EngineEvent? { events.isEmpty ? nil : events.removeFirst() }

    /// Applies changes; the VNIs that the engine didn't take. Only what others did to the engine can be the reason, and then
    /// one change at a time keeps the others from failing with it.
    private func refused(of changes: GrantChanges) -> [UInt32] {
        var all = NetworkChanges()
        all.removed = changes.removed
        all.changed = changes.changed.map { $0.network(localPrefixes: localPrefixes) }
        all.added = changes.added.map { $0.network(localPrefixes: localPrefixes) }
        all.keys = changes.keys
        if (try? engine.apply(all)) != nil { return [] }
        func isDone(_ vni: UInt32, _ edit: (inout NetworkChanges) -> Void) -> Bool {
            var one = NetworkChanges()
            edit(&one)
            do {
                try engine.apply(one)
                return true
            } catch {
                log("VNI \(vni) can't be changed: \(error)")
                return false
            }
        }
        for vni in all.removed { _ = isDone(vni) { $0.removed = [vni] } }
        // Who gives routes up makes way for who takes them.
        for network in all.changed.sorted(by: { $0.isReceiveOnly && !$1.isReceiveOnly }) {
            _ = isDone(network.vni) { $0.changed = [network] }
        }
        return all.added.filter { network in
            !isDone(network.vni) { one in
                one.added = [network]
                one.keys = changes.keys.filter { $0.key == network.vni }
            }
        }.map(\.vni)
    }
}
