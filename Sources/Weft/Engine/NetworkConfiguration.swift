// SPDX-License-Identifier: Apache-2.0

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
