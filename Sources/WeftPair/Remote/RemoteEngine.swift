// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftControl

/// An engine in the data process, as a control machine in the control process sees it.
///
/// What is asked leaves as records in the order of the calls; what the engine shows of its networks is what it told last.
public final class RemoteEngine: EnginePort {
    private let link: LinkKind
    private let send: (ToData) -> Void
    private var activities: [NetworkID: ActivityRecord] = [:]
    private var events = FIFO<EngineEvent>()
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
    public func take(_ activity: ActivityRecord, of network: NetworkID) {
        var activity = activity
        activity.roamedTo = activity.roamedTo ?? activities[network]?.roamedTo
        activities[network] = activity
    }

    public func takeRefusal(of network: NetworkID, why: String) { events.append(.refused(network, why: why)) }

    /// A network that was granted isn't there. What is sent from now on is sent by a machine that knows it.
    public func takeRefusedGrant(_ vni: UInt32) {
        events.append(.grantRefused(vni: vni))
        send(.refusalHeard(link))
    }

    // MARK: What the machine asks

    public func install(_ pair: SAPair, for network: NetworkID, at now: Instant) { send(.install(network, pair)) }

    public func installReceive(
        spi: UInt32, key: PacketKey, expiry: Instant, vni: UInt32, for network: NetworkID, at now: Instant
    ) {
        // What came under the SA before has nothing to do with this one.
        activities[network]?.usedReceive = nil
        send(.installReceive(network, vni: vni, spi: spi, key, expiry: expiry))
    }

    public func installTransmit(
        spi: UInt32, key: PacketKey, expiry: Instant, grace: Duration, vni: UInt32, for network: NetworkID,
        at now: Instant
    ) {
        send(.installTransmit(network, vni: vni, spi: spi, key, expiry: expiry, grace: grace))
    }

    public func updateEndpoint(of network: NetworkID, to place: AddressPair) { send(.moveEndpoint(network, place)) }

    public func setAnswersProbes(_ answers: Bool, of network: NetworkID) { send(.answersProbes(network, answers)) }

    public func setECNMode(_ mode: ECNMode, of network: NetworkID) { send(.ecnMode(network, mode)) }

    public func requestKeepAlive(of network: NetworkID) { send(.keepAlive(network)) }

    public func activities(of networks: [NetworkID]) -> [NetworkActivity?] {
        networks.map { network in
            guard let activity = activities[network] else { return nil }
            activities[network]?.roamedTo = nil
            return NetworkActivity(
                sent: activity.sent, lastReceive: activity.lastReceive, roamedTo: activity.roamedTo)
        }
    }

    public func isNewestReceive(_ spi: UInt32, usedBy network: NetworkID) -> Bool {
        activities[network]?.usedReceive == spi
    }

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
                localAddress: network.localAddress, isReceiveOnly: network.isReceiveOnly, expiry: network.expiry)
        }
    }

    public func nextEvent() -> EngineEvent? { events.popFirst() }
}
