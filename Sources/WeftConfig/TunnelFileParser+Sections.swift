// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftControl
import WeftDiscovery

/// What could be read of `[Interface]`.
struct InterfaceDraft {
    let lines: SectionLines<InterfaceKey>
    var addresses: ItemList<InterfaceAddress>?
    var listenPort: UInt32?
    var listenAddress: IPAddress?
    /// 0 for auto.
    var mtu: UInt32?
    var namedLocalIPs: ItemList<Prefix>?
    var firewallMark: UInt32?
    var table: InterfaceConfiguration.RoutingTable?
    var guarding: InterfaceConfiguration.Guarding?
    var through: String?
    var stateDirectory: String?
    /// 0 for auto.
    var queues: UInt32?
    var pinsThreads: Bool?
    var sourcePorts: UInt32?
    var copiesDSCP: Bool?
    var offloads: Offloads?
    var driver: InterfaceConfiguration.Driver?
    var underlay: String?
    var bindMode: (attachment: XDPOptions.Attachment?, copying: XDPOptions.Copying?)?
    var needsWakeup: Bool?
    /// 0 for off.
    var busyPoll: UInt32?
    var stunServers: ItemList<STUNServerName>?
    var services = OverlayServicesDraft()
    var resolvers: ItemList<IPAddress>?
    var respondsToSTUN: Bool?
    var identity: SharedIdentity?
    var rekeyInterval: UInt32?
    var controlPort: UInt32?
    var callLimit: UInt32?
    var handshakeLimit: UInt32?

    /// What concerns the host's own routes, and whether the file asks for it.
    var hostKeys: [(key: InterfaceKey, isWanted: Bool)] {
        [
            (.table, table.map { $0 != .automatic } ?? false), (.guarding, guarding == .on), (.through, through != nil),
            (.firewallMark, firewallMark.map { $0 != 0 } ?? false),
        ]
    }

    private var callLimits: CallLimits {
        var limits = CallLimits()
        if let callLimit { limits.callsPerSource = Int(callLimit) }
        return limits
    }

    private var xdp: XDPOptions {
        var options = XDPOptions()
        options.attachment = bindMode?.attachment
        options.copying = bindMode?.copying
        options.needsWakeup = needsWakeup ?? true
        options.busyPoll = busyPoll.flatMap { $0 == 0 ? nil : $0 }
        return options
    }

    /// Our side of each route; nil if that isn't known.
    var localIPs: [Prefix]? {
        if let named = namedLocalIPs { return named.isWhole ? named.items : nil }
        guard let addresses, addresses.isWhole else { return nil }
        // Two addresses may share a prefix.
        var seen: Set<Prefix> = []
        return addresses.items.map(\.prefix).filter { seen.insert($0).inserted }
    }

    var complete: InterfaceConfiguration? {
        guard let addresses, let localIPs else { return nil }
        return InterfaceConfiguration(
            addresses: addresses.items,
            listenPort: listenPort.flatMap { UInt16(exactly: $0) } ?? InterfaceConfiguration.defaultListenPort,
            listenAddress: listenAddress,
            mtu: mtu.flatMap { $0 == 0 ? nil : Int($0) },
            localIPs: localIPs,
            firewallMark: firewallMark == 0 ? nil : firewallMark,
            table: table ?? .automatic,
            guarding: guarding ?? .auto,
            through: through,
            stateDirectory: stateDirectory ?? InterfaceConfiguration.defaultStateDirectory,
            queues: queues.flatMap { $0 == 0 ? nil : Int($0) },
            pinsThreads: pinsThreads ?? false,
            sourcePorts: Int(sourcePorts ?? 1),
            copiesDSCP: copiesDSCP ?? false,
            offloads: offloads ?? .all,
            driver: driver ?? .auto,
            underlay: underlay,
            xdp: xdp,
            stunServers: stunServers?.items ?? [],
            resolvers: resolvers?.items ?? [],
            respondsToSTUN: respondsToSTUN ?? false,
            services: services.complete,
            identity: identity,
            rekeyInterval: rekeyInterval.map { .seconds(Int($0)) } ?? ControlPeer.defaultRekeyInterval,
            controlPort: controlPort.flatMap { UInt16(exactly: $0) },
            callLimits: callLimits,
            handshakesPerSource: handshakeLimit.map { Int($0) } ?? InterfaceConfiguration.defaultHandshakesPerSource,
            lines: lines)
    }
}

/// What could be read of a `[Peer]`.
struct PeerDraft {
    let lines: SectionLines<PeerKey>
    var vni: UInt32?
    /// Whether keys are agreed on rather than carried.
    var usesIdentity = false
    var publicKey: PublicKey?
    var endpoint: Endpoint?
    var endpointName: EndpointName?
    var pinsEndpoint: Bool?
    var controlPort: UInt32?
    var suite: Suite?
    var allowedIPs: ItemList<Prefix>?
    var persistentKeepalive: UInt32?
    var epoch: UInt32?
    var sendKey: ManualKey?
    var receiveKey: ManualKey?
    var presharedKey: PresharedKey?
    var rateLimit: UInt32?
    var checksSource: Bool?
    var speaks: UInt32?

    /// Whether the VNI is the network's for good.
    var hasOwnVNI: Bool { lines[.vni] != lines.header || controlPort != nil }

    var complete: PeerConfiguration? {
        let authentication: PeerConfiguration.Authentication
        if usesIdentity {
            guard let publicKey else { return nil }
            authentication = .identity(publicKey)
        } else {
            guard vni != nil, endpoint != nil, let epoch, let sendKey, let receiveKey else { return nil }
            authentication = .manual(ManualKeys(epoch: epoch, send: sendKey, receive: receiveKey))
        }
        guard let allowedIPs else { return nil }
        return PeerConfiguration(
            vni: vni ?? 0,
            hasOwnVNI: hasOwnVNI,
            network: hasOwnVNI ? .vni(vni ?? 0) : .none,
            endpoint: endpoint,
            endpointName: endpointName,
            allowedIPs: allowedIPs.items,
            persistentKeepalive: persistentKeepalive.flatMap { $0 == 0 ? nil : UInt16(exactly: $0) },
            authentication: authentication,
            presharedKey: presharedKey,
            rateLimit: rateLimit == 0 ? nil : rateLimit,
            checksSource: checksSource ?? false,
            pinsEndpoint: pinsEndpoint ?? false,
            controlPort: controlPort.flatMap { UInt16(exactly: $0) },
            isFirstRelease: speaks == 1,
            suite: suite ?? .aes128GCM,
            lines: lines)
    }
}

extension TunnelFileParser {
    mutating func readInterface(_ entries: SectionEntries<InterfaceKey>) -> InterfaceDraft {
        var draft = InterfaceDraft(lines: entries.lines)
        require([.address], in: entries)
        draft.addresses = list(
            of: .address, in: entries, identity: \.address, FileValues.interfaceAddress)
        draft.listenPort = value(of: .listenPort, in: entries) { FileValues.number($0, in: 1...65535) }
        draft.listenAddress = value(of: .listen, in: entries) { text in
            IPAddress(text).flatMap { $0.isUnicast ? $0 : nil }
        }
        draft.mtu = value(of: .mtu, in: entries, FileValues.mtu)
        draft.namedLocalIPs = list(of: .localIPs, in: entries, identity: \.self) { Prefix($0) }
        draft.firewallMark = value(of: .firewallMark, in: entries, FileValues.firewallMark)
        draft.table = value(of: .table, in: entries, FileValues.table)
        draft.guarding = value(of: .guarding, in: entries, FileValues.guarding)
        draft.through = value(of: .through, in: entries) { InterfaceName.isValidForTunnel($0) ? $0 : nil }
        draft.stateDirectory = value(of: .stateDirectory, in: entries, FileValues.path)
        draft.queues = value(of: .queues, in: entries, FileValues.queues)
        draft.pinsThreads = value(of: .pinThreads, in: entries, FileValues.onOrOff)
        draft.sourcePorts = value(of: .sourcePorts, in: entries) {
            FileValues.number($0, in: 1...UInt32(InterfaceConfiguration.mostSourcePorts))
        }
        draft.copiesDSCP = value(of: .copyDSCP, in: entries, FileValues.onOrOff)
        draft.offloads = value(of: .offloads, in: entries, FileValues.offloads)
        draft.driver = value(of: .driver, in: entries, FileValues.driver)
        draft.underlay = value(of: .underlay, in: entries, FileValues.interfaceName)
        draft.bindMode = value(of: .bindMode, in: entries, FileValues.bindMode)
        draft.needsWakeup = value(of: .needWakeup, in: entries, FileValues.onOrOff)
        draft.busyPoll = value(of: .busyPoll, in: entries) { FileValues.numberOrOff($0, in: 1...1_000_000) }
        draft.stunServers = list(of: .stun, in: entries, identity: \.self) { STUNServerName($0) }
        draft.resolvers = resolvers(in: entries)
        draft.services = overlayServices(in: entries)
        draft.respondsToSTUN = value(of: .stunResponder, in: entries, FileValues.onOrOff)
        draft.rekeyInterval = value(of: .rekeyInterval, in: entries) { FileValues.number($0, in: 1...21_600) }
        draft.controlPort = value(of: .controlPort, in: entries) { FileValues.number($0, in: 1...65535) }
        draft.callLimit = value(of: .callLimit, in: entries) { FileValues.number($0, in: 1...8000) }
        draft.handshakeLimit = value(of: .handshakeLimit, in: entries) { FileValues.number($0, in: 1...1024) }
        if let port = draft.controlPort, port == draft.listenPort ?? UInt32(InterfaceConfiguration.defaultListenPort) {
            diagnostics.add(
                line: entries.lines[.controlPort],
                "ControlPort: is ListenPort too: leave it out, as Weft's own control needs no port, or choose another")
        }
        draft.identity = identity(in: entries)
        return draft
    }

    private mutating func resolvers(in entries: SectionEntries<InterfaceKey>) -> ItemList<IPAddress>? {
        let resolvers = list(of: .resolver, in: entries, identity: \.self, FileValues.resolver)
        if let count = resolvers?.items.count, count > InterfaceConfiguration.mostResolvers {
            diagnostics.add(
                line: entries.lines[.resolver],
                "Resolver: expected at most \(InterfaceConfiguration.mostResolvers) addresses, found \(count)")
        }
        return resolvers
    }

    mutating func readPeer(_ entries: SectionEntries<PeerKey>) -> PeerDraft {
        var draft = PeerDraft(lines: entries.lines)
        let manual = [PeerKey.epoch, .sendKey, .receiveKey].filter { entries[$0] != nil }
        draft.usesIdentity = entries[.publicKey] != nil || (manual.isEmpty && text.namesIdentity)
        if draft.usesIdentity {
            require([.publicKey, .allowedIPs], in: entries)
            if let key = manual.first {
                diagnostics.add(
                    line: draft.lines[key],
                    "\(key.rawValue): stands beside PublicKey (line \(draft.lines[.publicKey])): expected one or the other"
                )
            }
            draft.publicKey = value(of: .publicKey, in: entries) { try? PublicKey($0) }
            draft.pinsEndpoint = value(of: .pinEndpoint, in: entries, FileValues.onOrOff)
            draft.controlPort = value(of: .controlPort, in: entries) { FileValues.number($0, in: 1...65535) }
            draft.suite = value(of: .suite, in: entries, FileValues.suite)
            draft.presharedKey = presharedKey(in: entries)
            draft.speaks = value(of: .speaks, in: entries) { FileValues.number($0, in: 1...1) }
            if draft.speaks != nil, entries[.controlPort] != nil {
                diagnostics.add(
                    line: draft.lines[.speaks],
                    "Protocol: stands beside ControlPort (line \(draft.lines[.controlPort])): a peer is ICX's or Weft's"
                )
            }
        } else {
            require([.vni, .endpoint, .allowedIPs, .epoch, .sendKey, .receiveKey], in: entries)
            for key in [PeerKey.pinEndpoint, .controlPort, .suite, .speaks, .presharedKey, .presharedKeyFile]
            where entries[key] != nil {
                diagnostics.add(
                    line: draft.lines[key], "\(key.rawValue): needs PublicKey: manual keys have no use for it")
            }
        }
        draft.vni = value(of: .vni, in: entries) { FileValues.number($0, in: 1...0xFF_FFFF) }
        let usesIdentity = draft.usesIdentity
        let place = value(of: .endpoint, in: entries) { text -> EndpointOrName? in
            Endpoint(text).map { .endpoint($0) } ?? (usesIdentity ? EndpointName(text).map { .name($0) } : nil)
        }
        switch place {
        case .endpoint(let endpoint): draft.endpoint = endpoint
        case .name(let name): draft.endpointName = name
        case nil: break
        }
        draft.allowedIPs = list(of: .allowedIPs, in: entries, identity: \.self) { Prefix($0) }
        draft.persistentKeepalive = value(of: .persistentKeepalive, in: entries) {
            FileValues.numberOrOff($0, in: 0...65535)
        }
        draft.epoch = value(of: .epoch, in: entries) { FileValues.number($0, in: 1...UInt32.max) }
        draft.sendKey = manualKey(.sendKey, in: entries)
        draft.receiveKey = manualKey(.receiveKey, in: entries)
        draft.rateLimit = value(of: .rateLimit, in: entries) { FileValues.numberOrOff($0, in: 0...UInt32.max) }
        draft.checksSource = value(of: .checkSource, in: entries, FileValues.onOrOff)
        checkEndpoint(draft)
        return draft
    }

    private enum EndpointOrName {
        case endpoint(Endpoint)
        case name(EndpointName)
    }

    /// An endpoint has to be something that a datagram can be sent to.
    private mutating func checkEndpoint(_ draft: PeerDraft) {
        guard let endpoint = draft.endpoint else { return }
        let address = endpoint.address
        let wrong: String
        if address.isUnspecified || address.isMulticast || address.isBroadcast {
            wrong = "expected the address of one host"
        } else if address.isLinkLocal {
            wrong = "expected an address that needs no zone"
        } else if address.isMapped {
            wrong = "expected the IPv4 address by itself"
        } else {
            return
        }
        diagnostics.add(line: draft.lines[.endpoint], "Endpoint: \(wrong), found \(Excerpt.quoted("\(endpoint)"))")
    }
}
