// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
import Weft

/// What an agent tells the others in etcd, under `agents/NAME`.
public struct AgentRecord: Hashable, Codable, Sendable {
    /// Its underlay addresses.
    public var remote: [String]
    /// Where it wants to be probed; nil: nowhere.
    public var probe: String?
    public var vni: UInt32?
    public var `protocol`: String?
    /// The prefixes that it serves, each with its weight.
    public var prefixes: [String: Int]?
    public var neverInTheClear: Bool?

    /// What a file announces.
    public init(_ file: MapFile) {
        remote = file.local.map(\.description)
        probe = file.announcement?.probe?.description
        vni = file.announcement?.vni
        `protocol` = file.announcement?.protocol.rawValue
        prefixes = file.announcement.map { announcement in
            Dictionary(uniqueKeysWithValues: announcement.prefixes.map { ($0.key.description, $0.value) })
        }
        neverInTheClear = file.announcement?.neverInTheClear
    }
}

/// What etcd says: agents, the prefixes that they announce, and prefixes that an operator wrote down.
///
/// A value that can't be read doesn't take the place of one that could: one bad write would otherwise cut off a whole fleet.
public struct Fleet: Sendable {
    /// The keys' first part, unless said otherwise.
    public static let usualPrefix = "/weft/tunnel-map/"
    private static let agentsFolder = "agents/"
    private static let prefixesFolder = "prefixes/"

    private let root: String
    private var agents: [String: AgentRecord] = [:]
    /// The last records of agents whose lease ran out, and when. For a while probes say whether they are alive: a lease is lost easily.
    /// After that, what they served and must not leave in the clear is dropped until somebody serves it again.
    private var gone: [String: (record: AgentRecord, at: Instant)] = [:]
    private static let grace = Duration.seconds(30)
    private var entries: [Prefix: FileText.Entry] = [:]

    /// - Parameter root: the keys' first part, ending with a slash.
    public init(root: String) { self.root = root }

    /// The key of an agent's record.
    public static func key(root: String, agent: String) -> String { root + agentsFolder + agent }

    /// The key of a prefix's entry.
    public static func key(root: String, prefix: Prefix) -> String { root + prefixesFolder + prefix.description }

    private enum Subject {
        case agent(String)
        case prefix(Prefix)
    }

    private func subject(of key: String) -> Subject? {
        guard key.hasPrefix(root) else { return nil }
        let rest = key.dropFirst(root.count)
        if rest.hasPrefix(Self.agentsFolder) {
            let name = String(rest.dropFirst(Self.agentsFolder.count))
            return (1...63).contains(name.utf8.count) && !name.utf8.contains(0) ? .agent(name) : nil
        }
        guard rest.hasPrefix(Self.prefixesFolder) else { return nil }
        return Prefix(rest.dropFirst(Self.prefixesFolder.count)).map { .prefix($0) }
    }

    /// Takes a key's new value.
    /// - Throws: when it can't be read; then all stays as it was.
    public mutating func put(_ key: String, _ value: [UInt8]) throws(MapFileError) {
        switch subject(of: key) {
        case .agent(let name):
            agents[name] = try FileText.decode(AgentRecord.self, from: Data(value), place: key)
            gone[name] = nil
        case .prefix(let prefix):
            let entry = try MapFile.entry(Data(value), place: key)
            if let text = entry.prefix, Prefix(text) != prefix {
                throw MapFileError(key, "its value is of \(text.prefix(50))")
            }
            entries[prefix] = entry
        case nil: throw MapFileError(key, "neither an agent's nor a prefix's key")
        }
    }

    /// Takes note that a key is gone.
    public mutating func delete(_ key: String, at now: Instant) {
        switch subject(of: key) {
        case .agent(let name): if let record = agents.removeValue(forKey: name) { gone[name] = (record, now) }
        case .prefix(let prefix): entries[prefix] = nil
        case nil: break
        }
    }

    /// Forgets what isn't among these keys.
    public mutating func keepOnly(_ keys: Set<String>, at now: Instant) {
        for name in agents.keys where !keys.contains(Self.key(root: root, agent: name)) {
            delete(Self.key(root: root, agent: name), at: now)
        }
        entries = entries.filter { keys.contains(Self.key(root: root, prefix: $0.key)) }
    }

    /// The agents that are registered, and those that were until just now, if they can be probed.
    private func present(at now: Instant) -> [String: AgentRecord] {
        agents.merging(
            gone.filter { $0.value.record.probe != nil && $0.value.at.advanced(by: Self.grace) > now }
                .mapValues(\.record)
        ) { registered, _ in registered }
    }

    /// Whether an agent's time runs out between two instants, so that the wish is another.
    public func changes(between earlier: Instant, and later: Instant) -> Bool {
        gone.values.contains { entry in
            let end = entry.at.advanced(by: Self.grace)
            return end > earlier && end <= later
        }
    }

    /// What the file and the fleet want together.
    public struct Wish: Sendable {
        public var entries: [TunnelMapEntry] = []
        /// Whom to probe, and where.
        public var probes: [String: IPAddress] = [:]
        /// What was left out, and why.
        public var complaints: [String] = []
    }

    /// The entries for one host: what its file says first, then what an operator wrote to etcd, then announcements. Nexthops that are the
    /// host itself are left out.
    /// - Parameter hasInterface: whether there is an interface of that name.
    public func wish(of file: MapFile, at now: Instant, hasInterface: (String) -> Bool) -> Wish {
        var wish = Wish()
        let agents = present(at: now)
        wish.probes = file.probes
        var defaults = NexthopDefaults(local: file.local, devices: file.devices)
        for (name, agent) in agents where name != file.agent {
            defaults.remotes[name] = agent.remote.compactMap { IPAddress($0) }
            defaults.vni[name] = agent.vni
            defaults.protocols[name] = agent.protocol.flatMap { NexthopProtocol(rawValue: $0) }
            if file.key != nil, let probe = agent.probe.flatMap({ IPAddress($0) }) { wish.probes[name] = probe }
        }
        var taken: Set<Prefix> = []
        func take(_ entry: TunnelMapEntry) {
            if let flaw = entry.flaw { return wish.complaints.append("\(entry.prefix): \(flaw)") }
            if let missing = entry.nexthops.first(where: { !hasInterface($0.interface) })?.interface {
                return wish.complaints.append("\(entry.prefix): there is no interface \(missing)")
            }
            wish.entries.append(entry)
        }
        for entry in file.entries where taken.insert(entry.prefix).inserted { take(entry) }
        for (prefix, var text) in entries where taken.insert(prefix).inserted {
            text.nexthops.removeAll { $0.peer == file.agent }
            if text.nexthops.isEmpty { continue }
            // Whoever isn't registered now comes back in when it is.
            text.nexthops.removeAll { hop in
                hop.remote == nil && hop.peer.map { defaults.remotes[$0] == nil } == true
            }
            if text.nexthops.isEmpty, text.neverInTheClear != true { continue }
            do throws(MapFileError) {
                take(try text.checked(Self.key(root: root, prefix: prefix), prefix: prefix, defaults))
            } catch {
                wish.complaints.append(error.description)
            }
        }
        for (prefix, text) in announced(by: agents, to: file.agent) where taken.insert(prefix).inserted {
            do throws(MapFileError) {
                take(try text.checked("announced \(prefix)", prefix: prefix, defaults))
            } catch {
                wish.complaints.append(error.description)
            }
        }
        let peers = Set(wish.entries.lazy.flatMap(\.nexthops).map(\.peer))
        wish.probes = wish.probes.filter { peers.contains($0.key) }
        return wish
    }

    /// Each announced prefix with those who serve it; none where the host serves it itself.
    private func announced(by agents: [String: AgentRecord], to own: String) -> [Prefix: FileText.Entry] {
        var result: [Prefix: FileText.Entry] = [:]
        let ours = Set((agents[own]?.prefixes ?? [:]).keys.compactMap { Prefix($0) })
        for (name, agent) in agents.sorted(by: { $0.key < $1.key }) where name != own {
            for (text, weight) in agent.prefixes ?? [:] {
                guard let prefix = Prefix(text), !ours.contains(prefix) else { continue }
                var entry = result[prefix] ?? FileText.Entry(nexthops: [], neverInTheClear: false)
                // No more fit, and the first by name are the same on all hosts.
                if entry.nexthops.count < Nexthop.maximumCount {
                    entry.nexthops.append(FileText.Hop(peer: name, weight: weight))
                }
                entry.neverInTheClear = entry.neverInTheClear == true || agent.neverInTheClear == true
                result[prefix] = entry
            }
        }
        for agent in gone.values.map(\.record) where agent.neverInTheClear == true {
            for prefix in (agent.prefixes ?? [:]).keys.compactMap({ Prefix($0) }) where !ours.contains(prefix) {
                result[prefix, default: FileText.Entry(nexthops: [], neverInTheClear: true)].neverInTheClear = true
            }
        }
        return result
    }
}

extension TunnelMapEntry {
    /// What is wrong with it, or nil.
    public var flaw: String? {
        guard (neverInTheClear ? 0 : 1)...Nexthop.maximumCount ~= nexthops.count else {
            return "\(nexthops.count) nexthops: expected 1 to \(Nexthop.maximumCount), or none if never in the clear"
        }
        var seeds: Set<UInt64> = []
        for nexthop in nexthops {
            if let flaw = nexthop.flaw { return flaw }
            guard seeds.insert(nexthop.seed).inserted else {
                return "the nexthop of peer \(nexthop.peer) stands there twice"
            }
        }
        return nil
    }
}
