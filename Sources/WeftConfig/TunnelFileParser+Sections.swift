// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftDiscovery

/// What could be read of `[Interface]`.
struct InterfaceDraft {
    let lines: SectionLines<InterfaceKey>
    var addresses: ItemList<InterfaceAddress>?
    var listenPort: UInt32?
    var mtu: UInt32?
    var namedLocalIPs: ItemList<Prefix>?
    var firewallMark: UInt32?
    var table: InterfaceConfiguration.RoutingTable?
    var stateDirectory: String?
    /// 0 for auto.
    var queues: UInt32?
    var pinsThreads: Bool?
    var sourcePorts: UInt32?
    var offloads: Offloads?
    var driver: InterfaceConfiguration.Driver?
    var underlay: String?
    var bindMode: (attachment: XDPOptions.Attachment?, copying: XDPOptions.Copying?)?
    var needsWakeup: Bool?
    /// 0 for off.
    var busyPoll: UInt32?

    private var xdp: XDPOptions {
        var options = XDPOptions()
        options.attachment = bindMode?.attachment
        options.copying = bindMode?.copying
        options.needsWakeup = needsWakeup ?? true
        options.busyPoll = busyPoll.flatMap { $0 == 0 ? nil : $0 }
        return options
    }
    var stunServers: ItemList<STUNServerName>?
    var respondsToSTUN: Bool?

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
            mtu: mtu.map { Int($0) } ?? InterfaceConfiguration.defaultMTU,
            localIPs: localIPs,
            firewallMark: firewallMark == 0 ? nil : firewallMark,
            table: table ?? .automatic,
            stateDirectory: stateDirectory ?? InterfaceConfiguration.defaultStateDirectory,
            queues: queues.flatMap { $0 == 0 ? nil : Int($0) },
            pinsThreads: pinsThreads ?? false,
            sourcePorts: Int(sourcePorts ?? 1),
            offloads: offloads ?? .all,
            driver: driver ?? .auto,
            underlay: underlay,
            xdp: xdp,
            stunServers: stunServers?.items ?? [],
            respondsToSTUN: respondsToSTUN ?? false,
            lines: lines)
    }
}

/// What could be read of a `[Peer]`.
struct PeerDraft {
    let lines: SectionLines<PeerKey>
    var vni: UInt32?
    var endpoint: Endpoint?
    var allowedIPs: ItemList<Prefix>?
    var persistentKeepalive: UInt32?
    var epoch: UInt32?
    var sendKey: ManualKey?
    var receiveKey: ManualKey?
    var rateLimit: UInt32?
    var checksSource: Bool?

    var complete: PeerConfiguration? {
        guard let vni, let endpoint, let allowedIPs, let epoch, let sendKey, let receiveKey else { return nil }
        return PeerConfiguration(
            vni: vni,
            endpoint: endpoint,
            allowedIPs: allowedIPs.items,
            persistentKeepalive: persistentKeepalive.flatMap { $0 == 0 ? nil : UInt16(exactly: $0) },
            keys: ManualKeys(epoch: epoch, send: sendKey, receive: receiveKey),
            rateLimit: rateLimit == 0 ? nil : rateLimit,
            checksSource: checksSource ?? false,
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
        draft.mtu = value(of: .mtu, in: entries) { FileValues.number($0, in: 576...65535) }
        draft.namedLocalIPs = list(of: .localIPs, in: entries, identity: \.self) { Prefix($0) }
        draft.firewallMark = value(of: .firewallMark, in: entries, FileValues.firewallMark)
        draft.table = value(of: .table, in: entries, FileValues.table)
        draft.stateDirectory = value(of: .stateDirectory, in: entries, FileValues.path)
        draft.queues = value(of: .queues, in: entries, FileValues.queues)
        draft.pinsThreads = value(of: .pinThreads, in: entries, FileValues.onOrOff)
        draft.sourcePorts = value(of: .sourcePorts, in: entries) {
            FileValues.number($0, in: 1...UInt32(InterfaceConfiguration.mostSourcePorts))
        }
        draft.offloads = value(of: .offloads, in: entries, FileValues.offloads)
        draft.driver = value(of: .driver, in: entries, FileValues.driver)
        draft.underlay = value(of: .underlay, in: entries, FileValues.interfaceName)
        draft.bindMode = value(of: .bindMode, in: entries, FileValues.bindMode)
        draft.needsWakeup = value(of: .needWakeup, in: entries, FileValues.onOrOff)
        draft.busyPoll = value(of: .busyPoll, in: entries) { FileValues.numberOrOff($0, in: 1...1_000_000) }
        draft.stunServers = list(of: .stun, in: entries, identity: \.self) { STUNServerName($0) }
        draft.respondsToSTUN = value(of: .stunResponder, in: entries, FileValues.onOrOff)
        return draft
    }

    mutating func readPeer(_ entries: SectionEntries<PeerKey>) -> PeerDraft {
        var draft = PeerDraft(lines: entries.lines)
        require([.vni, .endpoint, .allowedIPs, .epoch, .sendKey, .receiveKey], in: entries)
        draft.vni = value(of: .vni, in: entries) { FileValues.number($0, in: 1...0xFF_FFFF) }
        draft.endpoint = value(of: .endpoint, in: entries) { Endpoint($0) }
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

    /// An endpoint has to be something that a datagram can be sent to.
    private mutating func checkEndpoint(_ draft: PeerDraft) {
        guard let endpoint = draft.endpoint else { return }
        let address = endpoint.address
        let wrong: String
        if address.isUnspecified || address.isMulticast || address.isBroadcast {
            wrong = "expected the address of one host"
        } else if address.isLinkLocalV6 {
            wrong = "expected an address that needs no zone"
        } else if address.isMappedV4 {
            wrong = "expected the IPv4 address by itself"
        } else {
            return
        }
        diagnostics.add(line: draft.lines[.endpoint], "Endpoint: \(wrong), found \(Excerpt.quoted("\(endpoint)"))")
    }
}
