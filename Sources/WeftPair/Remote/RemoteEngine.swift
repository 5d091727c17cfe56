// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftControl

/// An engine in the data process, as a control machine in the control process sees it.
///
/// What is asked leaves as records in the order of the calls; what the engine shows of its networks is what it told last.
public final class RemoteEngine: EnginePort {
    private let link: LinkKind
    private let send: (ToData) -> Void
    private var activities: [UInt32: ActivityRecord] = [:]
    private var events: [EngineEvent] = []
    private var numbers: [PublicKey: UInt32] = [:]

    /// - Parameter send: takes what goes to the data process, in order.
    public init(_ link: LinkKind, send: @escaping (ToData) -> Void) {
        self.link = link
        self.send = send
    }

    /// Sets by which numbers the data process knows initiators.
    public func setNumbers(_ numbers: [PublicKey: UInt32]) { self.numbers = numbers }

    // MARK: What the data process tells

    /// A network showed signs of life. Where its peer roamed to stays until the machine asks.
    public func take(_ activity: ActivityRecord, of vni: UInt32) {
        var activity = activity
        activity.roamedTo = activity.roamedTo ?? activities[vni]?.roamedTo
        activities[vni] = activity
    }

    public func takeRefusal(of vni: UInt32, why: String) { events.append(.refused(vni: vni, why: why)) }

    /// A network that was granted isn't there. What is sent from now on is sent by a machine that knows it.
    public func takeRefusedGrant(_ vni: UInt32) {
        events.append(.grantRefused(vni: vni))
        send(.refusalHeard(link))
    }

    // MARK: What the machine asks

    public func install(_ pair: SAPair, for vni: UInt32, at now: Instant) { send(.install(vni: vni, pair)) }

    public func installReceive(spi: UInt32, key: PacketKey, expiry: Instant, for vni: UInt32, at now: Instant) {
        // What came under the SA before has nothing to do with this one.
        activities[vni]?.usedReceive = nil
        send(.installReceive(vni: vni, spi: spi, key, expiry: expiry))
    }

    public func installTransmit(spi: UInt32, key: PacketKey, expiry: Instant, for vni: UInt32, at now: Instant) {
        send(.installTransmit(vni: vni, spi: spi, key, expiry: expiry))
    }

    public func updateEndpoint(of vni: UInt32, to endpoint: Endpoint) { send(.moveEndpoint(vni: vni, endpoint)) }

    public func requestKeepAlive(of vni: UInt32) { send(.keepAlive(vni: vni)) }

    public func activities(of vnis: [UInt32]) -> [NetworkActivity?] {
        vnis.map { vni in
            guard let activity = activities[vni] else { return nil }
            activities[vni]?.roamedTo = nil
            return NetworkActivity(
                sent: activity.sent, lastReceive: activity.lastReceive, roamedTo: activity.roamedTo)
        }
    }

    public func isNewestReceive(_ spi: UInt32, usedBy vni: UInt32) -> Bool { activities[vni]?.usedReceive == spi }

    public func setLocalPrefixes(_ prefixes: [Prefix]) {}

    public func apply(_ changes: GrantChanges) {
        for vni in changes.removed { send(.grantRemoved(link, vni: vni)) }
        for network in changes.changed {
            if let record = record(of: network) { send(.grantChanged(link, record)) }
        }
        for network in changes.added {
            if let record = record(of: network), let keys = changes.keys[network.vni] {
                send(.grantAdded(link, record, keys))
            }
        }
        send(.apply(link))
    }

    private func record(of network: GrantedNetwork) -> GrantRecord? {
        numbers[network.holder].map { number in
            GrantRecord(
                vni: network.vni, address: network.address, initiator: number, endpoint: network.endpoint,
                isReceiveOnly: network.isReceiveOnly, expiry: network.expiry)
        }
    }

    public func nextEvent() -> EngineEvent? { events.isEmpty ? nil : events.removeFirst() }
}
