// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
import Weft

/// What etcd says: agents, the prefixes that they announce, and prefixes that an operator wrote down.
///
/// A value that can't be read doesn't take the place of one that could: one bad write would otherwise cut off a whole fleet.
public struct Fleet: Sendable {
    /// The keys' first part, unless said otherwise.
    public static let usualPrefix = "/weft/tunnel-map/"
    private static let agentsFolder = "agents/"
    private static let prefixesFolder = "prefixes/"

    let root: String
    var agents: [String: AgentRecord] = [:]
    /// The last records of agents whose lease ran out, and when. For a while probes say whether they are alive: a lease is lost easily.
    /// After that, what they served and must not leave in the clear is dropped until somebody serves it again.
    var gone: [String: (record: AgentRecord, at: Instant)] = [:]
    private static let grace = Duration.seconds(30)
    var entries: [Prefix: FileText.Entry] = [:]

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
            return PeerName.isValid(name) ? .agent(name) : nil
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
        case nil: throw MapFileError(key, "neither an agent's nor a prefix's key; \(PeerName.rule)")
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
    func present(at now: Instant) -> [String: AgentRecord] {
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
}
