// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftControl

/// An engine that counts what a responder tells it, and whose own words can be held back.
final class WatchedEngine: EnginePort {
    private let engine: LocalEngine
    var isHeard = true
    /// How often it was told of grants.
    private(set) var steps = 0
    /// Networks that it was told to change.
    private(set) var changed = 0

    init(_ engine: Engine) { self.engine = LocalEngine(engine) }

    func install(_ pair: SAPair, for network: NetworkID, at now: Instant) {}
    func installReceive(
        spi: UInt32, key: PacketKey, expiry: Instant, vni: UInt32, for network: NetworkID, at now: Instant
    ) {}
    func installTransmit(
        spi: UInt32, key: PacketKey, expiry: Instant, grace: Duration, vni: UInt32, for network: NetworkID,
        at now: Instant
    ) {}
    func setAnswersProbes(_ answers: Bool, of network: NetworkID) {}
    func setECNMode(_ mode: ECNMode, of network: NetworkID) { engine.setECNMode(mode, of: network) }
    func updateEndpoint(of network: NetworkID, to place: AddressPair) {}
    func requestKeepAlive(of network: NetworkID) {}
    func activities(of networks: [NetworkID]) -> [NetworkActivity?] { engine.activities(of: networks) }
    func isNewestReceive(_ spi: UInt32, usedBy network: NetworkID) -> Bool { false }
    func apply(_ changes: GrantChanges) {
        steps += 1
        changed += changes.changed.count
        engine.apply(changes)
    }
    func setLocalPrefixes(_ prefixes: [Prefix]) { engine.setLocalPrefixes(prefixes) }
    func nextEvent() -> EngineEvent? { isHeard ? engine.nextEvent() : nil }
}

extension KeyPlane {
    /// A responder, and its engine.
    static func watched() throws -> (plane: KeyPlane, engine: WatchedEngine) {
        var watched: WatchedEngine?
        let plane = try KeyPlane { engine in
            let port = WatchedEngine(engine)
            watched = port
            return port
        }
        return (plane, try #require(watched))
    }
}
