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

    public func install(_ pair: SAPair, for network: NetworkID, at now: Instant) {
        attempt(network) { () throws(EngineError) in try engine.install(pair, for: network, at: now) }
    }

    public func installReceive(
        spi: UInt32, key: PacketKey, expiry: Instant, vni: UInt32, for network: NetworkID, at now: Instant
    ) {
        attempt(network) { () throws(EngineError) in
            try engine.installReceive(spi: spi, key: key, expiry: expiry, vni: vni, for: network, at: now)
        }
    }

    public func installTransmit(
        spi: UInt32, key: PacketKey, expiry: Instant, vni: UInt32, for network: NetworkID, at now: Instant
    ) {
        attempt(network) { () throws(EngineError) in
            try engine.installTransmit(spi: spi, key: key, expiry: expiry, vni: vni, for: network, at: now)
        }
    }

    private func attempt(_ network: NetworkID, _ body: () throws(EngineError) -> Void) {
        do throws(EngineError) { try body() } catch { events.append(.refused(network, why: error.description)) }
    }

    // A network that was removed meanwhile needs neither.
    public func updateEndpoint(of network: NetworkID, to endpoint: Endpoint) {
        try? engine.updateEndpoint(of: network, to: endpoint)
    }

    public func requestKeepAlive(of network: NetworkID) { try? engine.requestKeepAlive(of: network) }

    public func activities(of networks: [NetworkID]) -> [NetworkActivity?] { engine.activities(of: networks) }

    public func isNewestReceive(_ spi: UInt32, usedBy network: NetworkID) -> Bool {
        engine.isNewestReceive(spi, usedBy: network)
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
        all.removed = Set(changes.removed.map { .vni($0) })
        all.changed = changes.changed.map { $0.network(localPrefixes: localPrefixes) }
        all.added = changes.added.map { $0.network(localPrefixes: localPrefixes) }
        all.keys = Dictionary(changes.keys.map { (.vni($0.key), $0.value) }) { first, _ in first }
        if (try? engine.apply(all)) != nil { return [] }
        func isDone(_ network: NetworkID, _ edit: (inout NetworkChanges) -> Void) -> Bool {
            var one = NetworkChanges()
            edit(&one)
            do {
                try engine.apply(one)
                return true
            } catch {
                log("\(network) can't be changed: \(error)")
                return false
            }
        }
        for network in all.removed { _ = isDone(network) { $0.removed = [network] } }
        // Who gives routes up makes way for who takes them.
        for network in all.changed.sorted(by: { $0.isReceiveOnly && !$1.isReceiveOnly }) {
            _ = isDone(network.id) { $0.changed = [network] }
        }
        return all.added.filter { network in
            !isDone(network.id) { one in
                one.added = [network]
                one.keys = all.keys.filter { $0.key == network.id }
            }
        }.compactMap(\.id.vni)
    }
}
