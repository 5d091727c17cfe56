// SPDX-License-Identifier: Apache-2.0
import Synchronization
import WeftLink

/// Settings of the whole host that tunnels change together: the first one changes them, the last one puts them back.
///
/// Which were changed, and by which tunnels they are needed, stands in a table of the packet filter: it belongs to the network
/// namespace as the settings do, and outlives a process that was killed.
final class SharedSettings: Sendable {
    /// A setting with a value before and one while tunnels need it.
    enum Setting: String, CaseIterable {
        /// The kernel's own value for one interface doesn't count while this one is on.
        case redirects = "send_redirects"
        /// Has the reverse path filter look at marks.
        case marks = "src_valid_mark"

        /// As tunnels need it.
        var needed: HostSetting {
            HostSetting("net/ipv4/conf/all/\(rawValue)", self == .redirects ? "0" : "1")
        }

        /// As it was when a tunnel changed it.
        var before: HostSetting { HostSetting(needed.path, self == .redirects ? "1" : "0") }
    }

    private static let table = "weft"
    private static let creation = """
        add table inet weft
        add set inet weft changed { type ifname; comment "settings in net.ipv4.conf.all that weft changed"; }
        add set inet weft tunnels { type ifname; comment "tunnels that need them"; }

        """
    private let nftables: Nftables
    private let tunnel: String
    /// What the table said when this tunnel last looked: settings that were changed, and those that this tunnel needs.
    private let known = Mutex<(changed: Set<String>, isUsed: Bool)>(([], false))

    init(_ nftables: Nftables, tunnel: String) {
        self.nftables = nftables
        self.tunnel = tunnel
    }

    /// Changes a setting, and notes that it was changed and that this tunnel needs it.
    func acquire(_ setting: Setting) throws {
        let isChange = setting.before.holds
        let isChanged = try nftables.list(Self.table) != nil
        guard isChange || isChanged else { return }
        var commands = Self.creation + "add element inet weft tunnels { \"\(tunnel)\" }\n"
        if isChange { commands += "add element inet weft changed { \"\(setting.rawValue)\" }\n" }
        try nftables.run(commands)
        if isChange { try setting.needed.write() }
        let changed = try nftables.list(Self.table).map { Self.elements(of: "changed", in: $0) } ?? []
        known.withLock { $0 = ($0.changed.union(changed), true) }
    }

    /// Puts the table back if somebody removed it.
    func restoreTable() throws(GuardError) {
        let (changed, isUsed) = known.withLock { $0 }
        guard isUsed, try nftables.list(Self.table) == nil else { return }
        var commands = Self.creation + "add element inet weft tunnels { \"\(tunnel)\" }\n"
        for setting in changed.sorted() { commands += "add element inet weft changed { \"\(setting)\" }\n" }
        try nftables.run(commands)
    }

    /// This tunnel needs them no longer. The last one puts back what was changed.
    func release() throws {
        guard let listing = try nftables.list(Self.table) else { return }
        let others = Self.elements(of: "tunnels", in: listing).filter { name in
            // One that is gone needs nothing.
            name != tunnel && HostSetting.value(at: "net/ipv4/conf/\(name)/forwarding") != nil
        }
        guard others.isEmpty else {
            _ = try? nftables.run("delete element inet weft tunnels { \"\(tunnel)\" }\n")
            return
        }
        let changed = Self.elements(of: "changed", in: listing)
        for setting in Setting.allCases where changed.contains(setting.rawValue) { try? setting.before.write() }
        try nftables.run("delete table inet weft\n")
    }

    /// The names in a listed set.
    static func elements(of set: String, in listing: String) -> [String] {
        guard let start = listing.firstRange(of: "set \(set) {") else { return [] }
        let body = listing[start.upperBound...].prefix { $0 != "}" }
        guard let elements = body.firstRange(of: "elements = {") else { return [] }
        return body[elements.upperBound...].split(separator: ",").map { element in
            String(element.filter { !$0.isWhitespace && $0 != "\"" })
        }
    }
}
