// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftLink

/// A rule of the host's own, tried before the tunnel's, in the packet filter's words: what it leads elsewhere may leave.
struct EarlierRule {
    /// Where packets pass the filter.
    enum Hook: String, CaseIterable {
        /// The host's own.
        case output
        /// Those of others.
        case forward
    }

    /// What follows can't say what it asks for.
    static func isFollowed(_ rule: KernelRule) -> Bool {
        switch rule.action {
        // What passes over a route in a rule of Weft's own only makes the guard let through less.
        case .table:
            (!rule.hasMore || rule.owner == .weft)
                && [rule.incoming, rule.outgoing].allSatisfy { $0.map(isPlain) ?? true }
        case .dead, .nothing: true
        case .other: false
        }
    }

    /// The rule's chain for one hook, or nil where no packet of the hook can meet the rule.
    /// - Parameter destinations: what its table leads somewhere.
    static func chain(_ name: String, _ rule: KernelRule, _ hook: Hook, _ destinations: Set<Prefix>) -> String? {
        guard case .table = rule.action, isFollowed(rule) else { return nil }
        let shortest = rule.suppressPrefixLength.map { Int($0) + 1 } ?? 0
        let led = destinations.filter { $0.family == rule.family && $0.length >= shortest }
        if led.isEmpty { return nil }
        let ip = rule.family == .v4 ? "ip" : "ip6"
        let accept =
            led.contains { $0.isDefault }
            ? "meta nfproto ipv\(rule.family.rawValue) accept"
            : "\(ip) daddr { \(outermost(led).map(\.description).joined(separator: ", ")) } accept"
        guard let selector = selector(rule, hook) else {
            // Nothing of this hook fits, so that everything does when it's turned round.
            return rule.invert ? chain(name, [accept]) : nil
        }
        if rule.invert { return selector.isEmpty ? nil : chain(name, ["\(selector) return", accept]) }
        return chain(name, [selector.isEmpty ? accept : "\(selector) \(accept)"])
    }

    private static func chain(_ name: String, _ lines: [String]) -> String {
        "    chain \(name) {\n" + lines.map { "        \($0)\n" }.joined() + "    }\n"
    }

    /// What a packet must be like; empty for any, nil where none of the hook's can be.
    private static func selector(_ rule: KernelRule, _ hook: Hook) -> String? {
        let ip = rule.family == .v4 ? "ip" : "ip6"
        var words = ["meta nfproto ipv\(rule.family.rawValue)"]
        if let source = rule.source { words.append("\(ip) saddr \(source)") }
        if let destination = rule.destination { words.append("\(ip) daddr \(destination)") }
        if let incoming = rule.incoming {
            guard (incoming == "lo") == (hook == .output) else { return nil }
            if hook == .forward { words.append("iifname \"\(incoming)\"") }
        }
        if let outgoing = rule.outgoing {
            guard hook == .output else { return nil }
            words.append("oifname \"\(outgoing)\"")
        }
        if let mark = rule.mark { words.append("meta mark & \(rule.markMask) == \(mark & rule.markMask)") }
        if let users = rule.users {
            guard hook == .output else { return nil }
            words.append("meta skuid \(users.lowerBound)-\(users.upperBound)")
        }
        if let number = rule.ipProtocol { words.append("meta l4proto \(number)") }
        if let ports = rule.sourcePorts { words.append("th sport \(ports.lowerBound)-\(ports.upperBound)") }
        if let ports = rule.destinationPorts { words.append("th dport \(ports.lowerBound)-\(ports.upperBound)") }
        return words.count == 1 && !rule.invert ? "" : words.joined(separator: " ")
    }

    /// The prefixes without those that another one covers.
    private static func outermost(_ prefixes: Set<Prefix>) -> [Prefix] {
        var result: [Prefix] = []
        for prefix in prefixes.sorted() where result.last?.contains(prefix) != true { result.append(prefix) }
        return result
    }

    /// Whether an interface's name means itself to nft(8).
    private static func isPlain(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.allSatisfy { $0 > 32 && $0 < 127 && $0 != UInt8(ascii: "\"") }
            && !name.contains("*") && !name.contains("\\")
    }
}
