// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// What a virtual network is made from.
public struct NetworkConfiguration: Sendable {
    public var id: NetworkID
    /// Where the peer is; nil while unknown, and then nothing can be sent.
    public var endpoint: Endpoint?
    /// Which of our addresses datagrams to the endpoint leave from; nil leaves the choice to the kernel.
    public var localAddress: IPAddress?
    /// The link-layer address towards the endpoint, for drivers that move whole frames.
    public var endpointMAC: MACAddress?
    public var routes: [Route]
    /// Opens what comes along the routes, and sends nothing: another network has taken them over.
    public var isReceiveOnly: Bool
    /// How often a keep-alive is due; nil for never.
    public var keepAliveInterval: Duration?
    /// Drop datagrams that are not from the endpoint's address (its port may differ: it may be a flow's hash).
    public var checksUnderlaySource: Bool
    /// Datagrams of the peer's per second that are let in, and of each stranger's that are tried; nil for no limit.
    public var receiveRateLimit: UInt64?

    public init(
        _ id: NetworkID, endpoint: Endpoint?, localAddress: IPAddress? = nil, endpointMAC: MACAddress? = nil,
        routes: [Route],
        isReceiveOnly: Bool = false, keepAliveInterval: Duration? = nil, checksUnderlaySource: Bool = false,
        receiveRateLimit: UInt64? = nil
    ) {
        self.id = id
        self.endpoint = endpoint
        self.localAddress = localAddress
        self.endpointMAC = endpointMAC
        self.routes = routes
        self.isReceiveOnly = isReceiveOnly
        self.keepAliveInterval = keepAliveInterval
        self.checksUnderlaySource = checksUnderlaySource
        self.receiveRateLimit = receiveRateLimit
    }

    /// A network with a VNI of its own.
    /// - Parameter vni: 24 bits.
    public init(
        vni: UInt32, endpoint: Endpoint?, endpointMAC: MACAddress? = nil, routes: [Route],
        isReceiveOnly: Bool = false, keepAliveInterval: Duration? = nil, checksUnderlaySource: Bool = false,
        receiveRateLimit: UInt64? = nil
    ) {
        self.init(
            .vni(vni), endpoint: endpoint, endpointMAC: endpointMAC, routes: routes, isReceiveOnly: isReceiveOnly,
            keepAliveInterval: keepAliveInterval, checksUnderlaySource: checksUnderlaySource,
            receiveRateLimit: receiveRateLimit)
    }

    /// The routes that lead into the network.
    var ownedRoutes: [Route] { isReceiveOnly ? [] : routes }

    /// Whether which of our prefixes a source may send to depends on it: not each pair of prefixes has a route.
    var asksRoutes: Bool {
        guard !isReceiveOnly, routes.count > 1 else { return false }
        let sources = Dictionary(grouping: Set(routes), by: \.destination).mapValues { Set($0.map(\.source)) }
        return IPAddress.Family.allCases.contains { family in
            Set(sources.filter { $0.key.family == family }.values).count > 1
        }
    }

    /// The routes of a network that only receives, unless they lead to single addresses.
    var wideReceiveRoutes: [Route] {
        isReceiveOnly && routes.contains { $0.destination.length < $0.destination.family.bitWidth } ? routes : []
    }
}

/// One version of a virtual network. Immutable but for what is marked as shared between versions.
final class VirtualNetwork: Sendable {
    let configuration: NetworkConfiguration
    /// The address and MAC that we send from towards the endpoint.
    let local: LocalAddress?
    let allowedSources: AddressSet
    let allowedDestinations: AddressSet
    /// Whether the route table has to be asked for each packet that was opened.
    let asksRoutes: Bool
    let transmit: TransmitSA?
    /// The newest first.
    let receive: [ReceiveSA]
    /// The VNIs of its receive SAs, without one that is its own.
    let namedVNIs: [UInt32]

    // Shared between a network's versions.
    let counters: CounterBlocks
    let keepAlive: KeepAliveTimer
    let rateLimit: RateLimit?
    let roaming: RoamingCell
    let paths: PathInbox
    let terms: PathTerms

    private let receiveViews: FixedArray<NetworkView.Receive>

    init(_ configuration: NetworkConfiguration, local: LocalAddress?, lanes: Int) {
        self.configuration = configuration
        self.local = local
        // An opened packet comes from the peer's side: its source is a route's destination.
        allowedSources = AddressSet(configuration.routes.lazy.map(\.destination))
        allowedDestinations = AddressSet(configuration.routes.lazy.map(\.source))
        asksRoutes = configuration.asksRoutes
        transmit = nil
        receive = []
        namedVNIs = []
        receiveViews = FixedArray([])
        counters = CounterBlocks(lanes: lanes)
        keepAlive = KeepAliveTimer(interval: configuration.keepAliveInterval)
        rateLimit = configuration.receiveRateLimit.map(RateLimit.init)
        roaming = RoamingCell()
        paths = PathInbox(of: configuration.id)
        terms = PathTerms()
    }

    private init(
        _ other: VirtualNetwork, configuration: NetworkConfiguration, local: LocalAddress?, transmit: TransmitSA?,
        receive: [ReceiveSA]
    ) {
        self.configuration = configuration
        let sameRoutes = configuration.routes == other.configuration.routes
        allowedSources =
            sameRoutes ? other.allowedSources : AddressSet(configuration.routes.lazy.map(\.destination))
        allowedDestinations =
            sameRoutes ? other.allowedDestinations : AddressSet(configuration.routes.lazy.map(\.source))
        asksRoutes =
            sameRoutes && configuration.isReceiveOnly == other.configuration.isReceiveOnly
            ? other.asksRoutes : configuration.asksRoutes
        self.local = local
        self.transmit = transmit
        self.receive = receive
        namedVNIs = receive.reduce(into: []) { vnis, association in
            if association.vni != configuration.id.vni, !vnis.contains(association.vni) { vnis.append(association.vni) }
        }
        receiveViews = FixedArray(receive.map { NetworkView.Receive($0) })
        counters = other.counters
        keepAlive =
            configuration.keepAliveInterval == other.configuration.keepAliveInterval
            ? other.keepAlive : KeepAliveTimer(interval: configuration.keepAliveInterval)
        rateLimit =
            configuration.receiveRateLimit == other.configuration.receiveRateLimit
            ? other.rateLimit : configuration.receiveRateLimit.map(RateLimit.init)
        roaming = other.roaming
        paths = other.paths
        terms = other.terms
    }

    /// What the outer headers of a frame to the endpoint need; nil until all of it is known.
    var path: NetworkView.Path? {
        guard let local, let mac = configuration.endpointMAC,
            configuration.localAddress.map({ $0 == local.address }) ?? true
        else { return nil }
        return .init(local: local.address, localMAC: local.mac, nextHopMAC: mac)
    }

    func with(local: LocalAddress?, endpointMAC: MACAddress?) -> VirtualNetwork {
        var configuration = configuration
        configuration.endpointMAC = endpointMAC
        return VirtualNetwork(
            self, configuration: configuration, local: local, transmit: transmit, receive: receive)
    }

    /// The same network, with its keys and books, as another configuration wants it.
    func with(_ configuration: NetworkConfiguration, local: LocalAddress?) -> VirtualNetwork {
        VirtualNetwork(
            self, configuration: configuration,
            local: configuration.endpoint == self.configuration.endpoint ? self.local : local, transmit: transmit,
            receive: receive)
    }

    /// - Parameters:
    ///   - localAddress: the address of ours that datagrams to the endpoint leave from; nil for the kernel's choice.
    ///   - local: what frames to the endpoint leave from.
    func with(endpoint: Endpoint?, from localAddress: IPAddress?, local: LocalAddress?) -> VirtualNetwork {
        var configuration = configuration
        configuration.endpoint = endpoint
        configuration.localAddress = localAddress
        return VirtualNetwork(
            self, configuration: configuration,
            local: endpoint == self.configuration.endpoint ? self.local : local, transmit: transmit, receive: receive)
    }

    func with(transmit: TransmitSA?, receive: [ReceiveSA]) -> VirtualNetwork {
        VirtualNetwork(self, configuration: configuration, local: local, transmit: transmit, receive: receive)
    }

    /// What the packet path needs of it, valid as long as it lives.
    @unsafe
    var view: NetworkView { unsafe NetworkView(self, receive: receiveViews.borrowed) }
}

/// When a network's next keep-alive is due: at the first call, then one interval after the last one, whatever data
/// was sent between.
final class KeepAliveTimer: Sendable {
    private let interval: UInt64?
    /// Nanoseconds; 0 before the first.
    private let next = Atomic<UInt64>(0)
    /// One was asked for, whatever the interval.
    private let isRequested = Atomic(false)

    init(interval: Duration?) { self.interval = interval?.wholeNanoseconds }

    var isDisabled: Bool { interval == nil && !isRequested.load(ordering: .relaxed) }

    /// Makes one due now.
    func request() { isRequested.store(true, ordering: .relaxed) }

    /// Whether a keep-alive is due. Of several threads that ask at once, one is told so.
    func isDue(at now: Instant) -> Bool {
        if isRequested.load(ordering: .relaxed), isRequested.exchange(false, ordering: .relaxed) { return true }
        guard let interval else { return false }
        let due = next.load(ordering: .relaxed)
        guard now.nanoseconds >= due else { return false }
        let following = max(now.advanced(byNanoseconds: interval).nanoseconds, 1)
        return next.compareExchange(expected: due, desired: following, ordering: .relaxed).exchanged
    }
}

/// Where the peer was followed to, and to which of our addresses it speaks, until somebody asks.
final class RoamingCell: Sendable {
    private let source = Mutex<AddressPair?>(nil)

    func put(_ place: AddressPair) { source.withLock { $0 = place } }

    func take() -> AddressPair? {
        source.withLock { source in
            defer { source = nil }
            return source
        }
    }
}
