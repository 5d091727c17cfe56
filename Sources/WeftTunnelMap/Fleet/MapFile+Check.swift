// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft

/// What nexthops take from the file, or from their peer's registration, where they leave it out.
struct NexthopDefaults {
    var local: [IPAddress] = []
    var devices: [NexthopProtocol: String] = [:]
    /// The first remote address of each peer that is known.
    var remotes: [String: [IPAddress]] = [:]
    var vni: [String: UInt32] = [:]
    /// As they say it: one that is unknown here is no other.
    var protocols: [String: String] = [:]
}

extension FileText.File {
    /// The file with its values checked.
    func checked(_ place: String) throws(MapFileError) -> MapFile {
        guard let interface else {
            throw MapFileError(place, "interface is missing: name the one that the overlay's routes point to")
        }
        let local = try (local ?? []).map { text throws(MapFileError) in try FileText.address(text, place, "local") }
        guard Set(local.map(\.family)).count == local.count else {
            throw MapFileError(place, "local: expected at most one address of each family")
        }
        var devices: [NexthopProtocol: String] = [:]
        for (name, device) in self.devices ?? [:] {
            devices[try FileText.tunnelProtocol(name, place, "devices")] = device
        }
        let probes = try probes(place)
        if !probes.isEmpty || announce?.probe != nil, key == nil {
            throw MapFileError(place, "key is missing: peers are probed, which needs the fleet key's file")
        }
        let defaults = NexthopDefaults(local: local, devices: devices)
        let entries = try (prefixes ?? []).enumerated().map { index, entry throws(MapFileError) in
            try entry.checked("\(place): prefixes[\(index)]", prefix: nil, defaults)
        }
        var seen: Set<Prefix> = []
        for entry in entries where !seen.insert(entry.prefix).inserted {
            throw MapFileError(place, "\(entry.prefix) stands there twice")
        }
        let capacity = capacity ?? max(16_384, entries.count)
        guard (1...16 << 20).contains(capacity) else {
            throw MapFileError(place, "capacity: expected 1 to \(16 << 20), found \(capacity)")
        }
        let agent = agent ?? hostName()
        guard PeerName.isValid(agent) else {
            throw MapFileError(place, "agent: \"\(agent.prefix(70))\" is no name: \(PeerName.rule)")
        }
        return MapFile(
            name: name ?? "default", agent: agent, interface: interface, decapsulate: decapsulate ?? [],
            local: local, devices: devices, capacity: capacity, key: key,
            probing: try health?.checked(place) ?? ProbeTiming(),
            probes: probes, entries: entries, announcement: try announce?.checked(place),
            fleet: try rights(devices, place), verifiesSources: verifySources ?? false)
    }

    private func rights(_ devices: [NexthopProtocol: String], _ place: String) throws(MapFileError) -> FleetRights {
        var rights = FleetRights(
            protocols: Set(devices.keys), interfaces: Set(devices.values), namesSenders: fleet?.senders ?? false)
        if let names = fleet?.protocols {
            rights.protocols = []
            for name in names {
                rights.protocols.insert(try FileText.tunnelProtocol(name, place, "fleet.protocols"))
            }
        }
        if let interfaces = fleet?.interfaces { rights.interfaces = Set(interfaces) }
        return rights
    }

    private func probes(_ place: String) throws(MapFileError) -> [String: IPAddress] {
        var probes: [String: IPAddress] = [:]
        for (name, peer) in peers ?? [:] {
            guard PeerName.isValid(name) else { throw MapFileError(place, "peers: \(PeerName.rule)") }
            guard let text = peer.probe else { continue }
            probes[name] = try FileText.address(text, place, "peers.\(name).probe")
        }
        return probes
    }
}

extension FileText.Health {
    fileprivate func checked(_ place: String) throws(MapFileError) -> ProbeTiming {
        var timing = ProbeTiming()
        if let intervalMilliseconds {
            guard (20...60_000).contains(intervalMilliseconds) else {
                throw MapFileError(
                    place, "health.intervalMilliseconds: expected 20 to 60000, found \(intervalMilliseconds)")
            }
            timing.interval = .milliseconds(intervalMilliseconds)
        }
        for (name, value, keep) in [
            ("threshold", threshold, \ProbeTiming.threshold), ("recovery", recovery, \ProbeTiming.recovery),
        ] {
            guard let value else { continue }
            guard (1...100).contains(value) else {
                throw MapFileError(place, "health.\(name): expected 1 to 100, found \(value)")
            }
            timing[keyPath: keep] = value
        }
        return timing
    }
}

extension FileText.Announce {
    fileprivate func checked(_ place: String) throws(MapFileError) -> MapFile.Announcement {
        var prefixes: [Prefix: Int] = [:]
        let weight = weight ?? 1
        guard (1...65535).contains(weight) else { throw MapFileError(place, "announce.weight: expected 1 to 65535") }
        for text in self.prefixes {
            guard let prefix = Prefix(text) else {
                throw MapFileError(place, "announce: \"\(text.prefix(50))\" is no prefix")
            }
            prefixes[prefix] = weight
        }
        return MapFile.Announcement(
            prefixes: prefixes, vni: vni ?? 0,
            protocol: try FileText.tunnelProtocol(
                self.protocol ?? NexthopProtocol.vxlan.rawValue, place, "announce.protocol"),
            probe: try probe.map { text throws(MapFileError) in try FileText.address(text, place, "announce.probe") },
            neverInTheClear: neverInTheClear ?? false)
    }
}

extension FileText.Entry {
    /// - Parameter prefix: where the entry doesn't say it itself.
    func checked(_ place: String, prefix: Prefix?, _ defaults: NexthopDefaults) throws(MapFileError) -> TunnelMapEntry {
        var found = prefix
        if let text = self.prefix {
            guard let own = Prefix(text) else { throw MapFileError(place, "\"\(text.prefix(50))\" is no prefix") }
            if let prefix, prefix != own { throw MapFileError(place, "the key says \(prefix) and the value \(own)") }
            found = own
        }
        guard let found else { throw MapFileError(place, "prefix is missing") }
        return TunnelMapEntry(
            prefix: found,
            nexthops: try nexthops.enumerated().map { index, hop throws(MapFileError) in
                try hop.checked("\(place): nexthops[\(index)]", defaults)
            }, neverInTheClear: neverInTheClear ?? false)
    }
}

extension FileText.Hop {
    func checked(_ place: String, _ defaults: NexthopDefaults) throws(MapFileError) -> Nexthop {
        var address = try remote.map { text throws(MapFileError) in try FileText.address(text, place, "remote") }
        if address == nil, let peer {
            let known = defaults.remotes[peer] ?? []
            address = known.first { remote in defaults.local.contains { $0.family == remote.family } } ?? known.first
        }
        if let peer, !PeerName.isValid(peer) { throw MapFileError(place, "peer: \(PeerName.rule)") }
        guard let name = peer ?? address?.description else {
            throw MapFileError(place, "expected a peer's name or a remote address")
        }
        let kind =
            try (`protocol` ?? defaults.protocols[name]).map { text throws(MapFileError) in
                try FileText.tunnelProtocol(text, place, "protocol")
            } ?? .vxlan
        guard let device = interface ?? defaults.devices[kind] else {
            throw MapFileError(
                place,
                "interface is missing, and devices names none for \(kind.rawValue): say which device to redirect to")
        }
        let own = try local.map { text throws(MapFileError) in try FileText.address(text, place, "local") }
        let nexthop = Nexthop(
            remote: address, local: own ?? defaults.local.first { $0.family == address?.family },
            vni: vni ?? defaults.vni[name] ?? 0, interface: device, protocol: kind, weight: weight ?? 1, peer: name,
            setsKey: setKey)
        if let flaw = nexthop.flaw { throw MapFileError(place, flaw) }
        return nexthop
    }
}

extension FileText {
    static func address(_ text: String, _ place: String, _ what: String) throws(MapFileError) -> IPAddress {
        guard let address = IPAddress(text) else {
            throw MapFileError(place, "\(what): \"\(text.prefix(50))\" is no IP address")
        }
        return address
    }

    static func tunnelProtocol(
        _ text: String, _ place: String, _ what: String
    ) throws(MapFileError) -> NexthopProtocol {
        guard let kind = NexthopProtocol(rawValue: text) else {
            let all = NexthopProtocol.allCases.map(\.rawValue).joined(separator: ", ")
            throw MapFileError(place, "\(what): \"\(text.prefix(50))\" is no protocol: expected one of \(all)")
        }
        return kind
    }
}

/// The host's own name, cut to what an agent's name may have.
private func hostName() -> String {
    var buffer = [CChar](repeating: 0, count: 64)
    // SAFETY: it writes at most the buffer's size; the last byte stays a NUL.
    guard unsafe gethostname(&buffer, buffer.count - 1) == 0 else { return "localhost" }
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
