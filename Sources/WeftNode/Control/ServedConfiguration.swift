// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftConfig
import WeftControl
import WeftPair

/// Whom a tunnel's control process serves, as the file says it.
struct ServedConfiguration: Sendable {
    /// By the link that their datagrams come by.
    var peers: [LinkKind: [ControlPeer]] = [:]
    /// The tunnel's name.
    var name = ""
    /// Which endpoint each link is.
    var places: [LinkKind: EndpointPlace] = [:]
    var handshakesPerSource = InterfaceConfiguration.defaultHandshakesPerSource
    var callsPerSource = CallLimits().callsPerSource
    /// What the host routes into the tunnel.
    var tunnelled: [Prefix] = []
    /// By their networks.
    var names: [NetworkID: EndpointName] = [:]
    /// Who is asked for names instead of those that the host's files name.
    var resolvers: [IPAddress] = []
    var keyServer: KeyServer?

    struct KeyServer: Sendable {
        let link: LinkKind
        let configuration: KeyResponder.Configuration
        let initiators: [UInt32: AuthorizedInitiator]
    }

    init(peers: [LinkKind: [ControlPeer]], tunnelled: [Prefix] = [], keyServer: KeyServer? = nil) {
        self.peers = peers
        self.tunnelled = tunnelled
        self.keyServer = keyServer
    }

    /// What a file says.
    /// - Parameters:
    ///   - tunnelled: what the host routes into the tunnel, the tunnel's own datagrams too.
    ///   - servesKeys: whether it is a key server's file.
    ///   - numbers: numbers of initiators from before, which they keep.
    init(
        _ file: TunnelConfiguration, name: String, tunnelled: [Prefix], servesKeys: Bool,
        numbers: [PublicKey: UInt32] = [:]
    ) throws(RoleElectionError) {
        self.name = name
        places[.shared] = EndpointPlace(port: file.interface.listenPort, name: name)
        places[.own] = file.ownControlPort(servesKeys: servesKeys).map { EndpointPlace(port: $0, name: name) }
        handshakesPerSource = file.interface.handshakesPerSource
        callsPerSource = file.interface.callLimits.callsPerSource
        self.tunnelled = tunnelled
        names = file.names
        resolvers = file.interface.resolvers
        guard let own = file.interface.identity?.publicKey else { return }
        if servesKeys {
            var next = (numbers.values.max() ?? 0) + 1
            var initiators: [UInt32: AuthorizedInitiator] = [:]
            for initiator in file.authorized {
                let number = numbers[initiator.publicKey] ?? next
                if number == next { next += 1 }
                initiators[number] = initiator
            }
            keyServer = KeyServer(
                link: file.interface.controlPort == nil ? .shared : .own, configuration: .init(file.interface),
                initiators: initiators)
            return
        }
        for (link, isICX) in [(LinkKind.shared, false), (.own, true)] {
            let served = file.controlPeers(icx: isICX)
            for peer in served { _ = try Role(local: own, peer: peer.publicKey) }
            peers[link] = served
        }
        // Without a port of control's own there is nobody to serve there.
        if file.ownControlPort(servesKeys: false) == nil { peers[.own] = nil }
    }

    /// The numbers that initiators are called by.
    var numbers: [PublicKey: UInt32] {
        Dictionary(keyServer?.initiators.map { ($0.value.publicKey, $0.key) } ?? []) { first, _ in first }
    }

    /// What the engine has of each peer at present.
    func presences(in engine: Engine) -> [NetworkID: PeerPresence] {
        Dictionary(
            engine.networks().map { network in
                (network.id, PeerPresence(endpoint: network.endpoint, receiveSPIs: network.receive.map(\.spi)))
            }, uniquingKeysWith: { first, _ in first })
    }

    /// Tells a control process whom to serve.
    /// - Parameters:
    ///   - presences: what the engine has of peers from before; nil at the first start, or for a change.
    ///   - granted: networks that were granted before.
    func tell(_ end: DataEnd, presences: [NetworkID: PeerPresence]?, granted: [GrantRecord]) {
        for (link, place) in places {
            end.send(
                .place(
                    link, place, handshakesPerSource: UInt32(clamping: handshakesPerSource),
                    callsPerSource: UInt32(clamping: callsPerSource)))
        }
        for (link, peers) in peers {
            for peer in peers { end.send(.peer(link, peer, presences?[peer.network])) }
            for prefix in tunnelled { end.send(.tunnelled(link, prefix)) }
            end.send(.peersComplete(link))
        }
        guard let server = keyServer else { return }
        let (link, configuration) = (server.link, server.configuration)
        end.send(.keyServer(link, lifetime: configuration.lifetime, dataPort: configuration.dataPort))
        for prefix in tunnelled { end.send(.tunnelled(link, prefix)) }
        for prefix in configuration.localPrefixes { end.send(.localPrefix(link, prefix)) }
        for address in configuration.reserved { end.send(.reserved(link, address)) }
        for (number, initiator) in server.initiators.sorted(by: { $0.key < $1.key }) {
            end.send(.initiator(link, number: number, initiator))
            for prefix in initiator.prefixes { end.send(.initiatorPrefix(link, prefix)) }
        }
        for grant in granted { end.send(.granted(link, grant)) }
        end.send(.initiatorsComplete(link))
    }
}

extension ControlPeer {
    /// What the control plane needs of a peer; nil where its keys are manual.
    init?(_ peer: PeerConfiguration, _ interface: InterfaceConfiguration) {
        guard let key = peer.publicKey else { return nil }
        self.init(
            publicKey: key, network: peer.network, vni: peer.vni, endpoint: peer.endpoint,
            isNamed: peer.endpointName != nil,
            isPinned: peer.pinsEndpoint, controlPort: peer.controlPort,
            dataPort: peer.endpointName?.port, isFirstRelease: peer.isFirstRelease, suite: peer.suite,
            rekeyInterval: interface.rekeyInterval, presharedKey: peer.presharedKey)
    }
}

extension KeyResponder.Configuration {
    fileprivate init(_ interface: InterfaceConfiguration) {
        self.init(
            localPrefixes: interface.localIPs, reserved: Set(interface.addresses.map(\.address)),
            lifetime: ControlPeer.associationLifetime(rekeyingEvery: interface.rekeyInterval),
            // ICX's initiators have a port for control and Geneve's for data.
            dataPort: interface.controlPort == nil ? nil : InterfaceConfiguration.defaultListenPort)
    }
}

extension TunnelConfiguration {
    /// The peers that keys are agreed with: ICX's, or all others.
    func controlPeers(icx: Bool) -> [ControlPeer] {
        peers.filter { ($0.controlPort != nil) == icx }.compactMap { ControlPeer($0, interface) }
    }

    /// Whether calls without a tag are answered on the shared port: while an end of the first release may call.
    package func answersStrangers(servesKeys: Bool) -> Bool {
        servesKeys ? initiators.contains(where: \.isFirstRelease) : peers.contains(where: \.isFirstRelease)
    }

    /// The port of control's own, if it has one.
    func ownControlPort(servesKeys: Bool) -> UInt16? {
        if let port = interface.controlPort { return port }
        let hasICX = !servesKeys && peers.contains { $0.controlPort != nil }
        return hasICX ? InterfaceConfiguration.defaultControlPort : nil
    }

    /// The names of peers whose endpoint is one, by their networks.
    var names: [NetworkID: EndpointName] {
        Dictionary(
            peers.compactMap { peer in
                peer.publicKey == nil ? nil : peer.endpointName.map { (peer.network, $0) }
            }, uniquingKeysWith: { first, _ in first })
    }

    fileprivate var authorized: [AuthorizedInitiator] {
        initiators.map {
            AuthorizedInitiator(
                publicKey: $0.publicKey, prefixes: $0.allowedIPs, networks: $0.networks, suite: $0.suite,
                requestsPerSecond: $0.requestsPerSecond,
                speaks: interface.controlPort != nil ? .icx : $0.isFirstRelease ? .firstRelease : .weft)
        }
    }
}
