// SPDX-License-Identifier: Apache-2.0

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
