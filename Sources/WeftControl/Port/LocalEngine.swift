// SPDX-License-Identifier: Apache-2.0
import Weft

/// An engine in the same process: what is asked of it is done before the call returns.
public final class LocalEngine: EnginePort {
    private let engine: Engine
    private var localPrefixes: [Prefix] = []
    private let log: (String) -> Void
    private var events = FIFO<EngineEvent>()

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
        spi: UInt32, key: PacketKey, expiry: Instant, grace: Duration, vni: UInt32, for network: NetworkID,
        at now: Instant
    ) {
        attempt(network) { () throws(EngineError) in
            try engine.installTransmit(
                spi: spi, key: key, expiry: expiry, grace: grace, vni: vni, for: network, at: now)
        }
    }

    private func attempt(_ network: NetworkID, _ body: () throws(EngineError) -> Void) {
        do throws(EngineError) { try body() } catch { events.append(.refused(network, why: error.description)) }
    }

    // A network that was removed meanwhile needs neither.
    public func updateEndpoint(of network: NetworkID, to place: AddressPair) {
        try? engine.updateEndpoint(of: network, to: place.remote, from: place.local)
    }

    // Nobody asks, so that it is where its session is.
    public func setAnswersProbes(_ answers: Bool, of network: NetworkID) {}

    public func setECNMode(_ mode: ECNMode, of network: NetworkID) { engine.setECNMode(of: network, to: mode) }

    public func requestKeepAlive(of network: NetworkID) { try? engine.requestKeepAlive(of: network) }

    public func activities(of networks: [NetworkID]) -> [NetworkActivity?] { engine.activities(of: networks) }

    public func isNewestReceive(_ spi: UInt32, usedBy network: NetworkID) -> Bool {
        engine.isNewestReceive(spi, usedBy: network)
    }

    public func apply(_ changes: GrantChanges) {
        for vni in refused(of: changes) { events.append(.grantRefused(vni: vni)) }
    }

    public func setLocalPrefixes(_ prefixes: [Prefix]) { localPrefixes = prefixes }

    public func nextEvent() -> EngineEvent? { events.popFirst() }

    /// Applies changes; the VNIs that the engine didn't take. Only what others did to the engine can be the reason, and then
    /// halves are tried, so that the others don't fail with it, and the engine isn't changed once for each of them.
    private func refused(of changes: GrantChanges) -> [UInt32] {
        var steps = changes.removed.map { Step.remove($0) }
        let changed = changes.changed.map { $0.network(localPrefixes: localPrefixes) }
        // Who gives routes up makes way for who takes them.
        steps +=
            changed.filter(\.isReceiveOnly).map { .change($0) }
            + changed.filter { !$0.isReceiveOnly }.map { .change($0) }
        steps += changes.added.map { .add($0.network(localPrefixes: localPrefixes), changes.keys[$0.vni]) }
        return refused(of: steps[...])
    }

    private enum Step {
        case remove(UInt32)
        case change(NetworkConfiguration)
        case add(NetworkConfiguration, SAPair?)
    }

    private func refused(of steps: ArraySlice<Step>) -> [UInt32] {
        guard let last = steps.last else { return [] }
        var all = NetworkChanges()
        for step in steps {
            switch step {
            case .remove(let vni): all.removed.insert(.vni(vni))
            case .change(let network): all.changed.append(network)
            case .add(let network, let keys):
                all.added.append(network)
                all.keys[network.id] = keys
            }
        }
        do {
            try engine.apply(all)
            return []
        } catch {
            guard steps.count == 1 else {
                let middle = steps.startIndex + steps.count / 2
                return refused(of: steps[..<middle]) + refused(of: steps[middle...])
            }
            log("a granted network can't be changed: \(error)")
            return if case .add(let network, _) = last { [network.id.vni].compactMap(\.self) } else { [] }
        }
    }
}
