// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftConfig
import WeftControl

/// What a changed file means for a tunnel that is up.
struct ReloadPlan {
    /// What only a new start can do; nothing is changed then.
    private(set) var refusals: [String] = []
    private(set) var changes = NetworkChanges()
    var lines: [String] = []

    init(from old: TunnelConfiguration, to new: TunnelConfiguration, servesKeys: Bool) {
        compare(old.interface, new.interface)
        compareInitiators(old, new, servesKeys)
        let before = Dictionary(old.peers.map { ($0.network, $0) }) { first, _ in first }
        let after = Dictionary(new.peers.map { ($0.network, $0) }) { first, _ in first }
        let uses = [old, new].map { file in file.peers.contains { $0.controlPort != nil } }
        if uses[0] != uses[1], new.interface.controlPort == nil { refuse("ICX's peers come or go without ControlPort") }
        for peer in old.peers where after[peer.network] == nil {
            changes.removed.insert(peer.network)
            lines.append("- peer \(peer.name): goes, with its keys")
            if peer.keys != nil { refuse("peer \(peer.name) has manual keys") }
        }
        for peer in new.peers {
            guard let was = before[peer.network] else {
                changes.added.append(new.network(of: peer))
                lines.append("+ peer \(peer.name): comes")
                if peer.keys != nil { refuse("peer \(peer.name) has manual keys") }
                continue
            }
            compare(was, peer, old, new)
        }
    }

    mutating func refuse(_ what: String) {
        refusals.append("\(what): stop it and start it anew to change that")
    }

    private mutating func compare(_ old: InterfaceConfiguration, _ new: InterfaceConfiguration) {
        for (name, isSame) in [
            ("Address", old.addresses == new.addresses), ("ListenPort", old.listenPort == new.listenPort),
            ("Listen", old.listenAddress == new.listenAddress),
            ("MTU", old.mtu == new.mtu), ("FwMark", old.firewallMark == new.firewallMark),
            ("Table", old.table == new.table), ("Through", old.through == new.through),
            ("StateDirectory", old.stateDirectory == new.stateDirectory),
            ("Queues", old.queues == new.queues), ("PinThreads", old.pinsThreads == new.pinsThreads),
            ("SourcePorts", old.sourcePorts == new.sourcePorts), ("CopyDSCP", old.copiesDSCP == new.copiesDSCP),
            ("Offloads", old.offloads == new.offloads),
            ("ControlPort", old.controlPort == new.controlPort),
            ("CallLimit", old.callLimits == new.callLimits),
            ("HandshakeLimit", old.handshakesPerSource == new.handshakesPerSource),
            ("Driver", old.driver == new.driver),
            ("Underlay", old.underlay == new.underlay),
            ("BindMode, NeedWakeup or BusyPoll", old.xdp == new.xdp), ("STUN", old.stunServers == new.stunServers),
            ("DNS, SOCKS5, SOCKS5Login, Forward or Expose", old.services == new.services),
            ("STUNResponder", old.respondsToSTUN == new.respondsToSTUN),
            ("the private key", old.identity?.publicKey == new.identity?.publicKey),
        ] where !isSame { refuse("\(name) in [Interface] is another") }
        if old.guarding != new.guarding { lines.append("~ Guard: \(new.guarding) instead of \(old.guarding)") }
        if old.resolvers != new.resolvers {
            let names = new.resolvers.map(\.description).joined(separator: ", ")
            lines.append("~ Resolver: \(names.isEmpty ? "the host's" : names)")
        }
        if old.rekeyInterval != new.rekeyInterval {
            lines.append("~ RekeyInterval: \(new.rekeyInterval) instead of \(old.rekeyInterval)")
        }
    }

    private mutating func compare(
        _ was: PeerConfiguration, _ peer: PeerConfiguration, _ old: TunnelConfiguration, _ new: TunnelConfiguration
    ) {
        var notes: [String] = []
        if was.publicKey != peer.publicKey {
            // Another peer under the same number: nothing of the old one may stay.
            refuse("peer \(peer.name) takes over VNI \(peer.vni)")
        }
        if was.controlPort != peer.controlPort { refuse("peer \(peer.name) has another ControlPort") }
        if let one = was.keys, let other = peer.keys,
            one.epoch != other.epoch || one.send != other.send || one.receive != other.receive
        {
            refuse("peer \(peer.name) has other manual keys")
        }
        let routes = (old.routes(for: was), new.routes(for: peer))
        if Set(routes.0) != Set(routes.1) {
            notes.append("AllowedIPs \(peer.allowedIPs.map(\.description).joined(separator: ", "))")
        }
        let endpoints = (
            was.endpoint?.description ?? was.endpointName?.description,
            peer.endpoint?.description ?? peer.endpointName?.description
        )
        if endpoints.0 != endpoints.1 { notes.append("Endpoint \(endpoints.1 ?? "none")") }
        if was.persistentKeepalive != peer.persistentKeepalive {
            notes.append("PersistentKeepalive \(peer.persistentKeepalive.map { "\($0)" } ?? "off")")
        }
        if was.rateLimit != peer.rateLimit { notes.append("RateLimit \(peer.rateLimit.map { "\($0)" } ?? "off")") }
        if was.checksSource != peer.checksSource { notes.append("CheckSource \(peer.checksSource ? "on" : "off")") }
        let concernsEngine = !notes.isEmpty
        if was.pinsEndpoint != peer.pinsEndpoint { notes.append("PinEndpoint \(peer.pinsEndpoint ? "on" : "off")") }
        if was.isFirstRelease != peer.isFirstRelease {
            notes.append("Protocol \(peer.isFirstRelease ? "1" : "weft/1"), with a new session")
        }
        if was.presharedKey != peer.presharedKey {
            notes.append("PresharedKey \(peer.presharedKey == nil ? "none" : "another"), with a new session")
        }
        if was.suite != peer.suite { notes.append("Suite \(peer.suite.name), with new keys") }
        guard !notes.isEmpty else { return }
        lines.append("~ peer \(peer.name): \(notes.joined(separator: "; "))")
        if concernsEngine { changes.changed.append(new.network(of: peer)) }
    }

    /// For people.
    var text: String {
        if !refusals.isEmpty { return refusals.joined(separator: "\n") }
        return lines.isEmpty ? "nothing would change" : lines.joined(separator: "\n")
    }
}

extension PeerConfiguration {
    /// What people call it.
    var name: String { publicKey?.shortName ?? "of VNI \(vni)" }
}

extension TunnelConfiguration {
    /// A peer's network as the engine wants it.
    func network(of peer: PeerConfiguration) -> NetworkConfiguration {
        NetworkConfiguration(
            peer.network, endpoint: peer.endpoint, routes: routes(for: peer),
            keepAliveInterval: peer.persistentKeepalive.map { .seconds(Int($0)) },
            checksUnderlaySource: peer.checksSource, receiveRateLimit: peer.rateLimit.map(UInt64.init))
    }
}
