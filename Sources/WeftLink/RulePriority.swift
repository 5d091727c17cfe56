// SPDX-License-Identifier: Apache-2.0
import Weft

/// How Weft's rules share the priorities 14800...31511, and 32700...32763 and 32765.
///
/// First come, one slot for each table, the rules by which a tunnel's own datagrams go past all tunnels; the last of them, if
/// they go through none, is the very last. See ``UnderlayWay``.
///
/// A tunnel needs a pair of rules for each prefix length in its own table: "look main up for anything longer" and, one
/// priority behind, "look the tunnel's table up". Longer prefixes come first, so that main and all the tunnels' tables
/// together give the longest match. Within a length each table has its own slot, by which its rule for main is
/// found again. Tables that are congruent modulo 64 share a slot, and then that rule, until the last of them goes.
enum RulePriority {
    static let first: UInt32 = 15_000
    static let slots: UInt32 = 64

    /// The priority of the rule that looks main up for a tunnel's own datagrams.
    static func past(table: UInt32) -> UInt32 { 14_800 + table % slots }

    /// The priority of the rule that looks their own table up.
    static func along(table: UInt32) -> UInt32 { past(table: table) + slots }

    /// The priority of the rule by which they go nowhere.
    /// - Parameter isEarly: before all tunnels' rules, rather than behind them and the host's own.
    static func end(table: UInt32, isEarly: Bool) -> UInt32 {
        isEarly ? along(table: table) + slots : 32_700 + table % slots
    }

    /// The priority of a rule that changes nothing and is gone at once: right before the kernel's own for table main.
    static let passing: UInt32 = 32_765

    /// Whether a rule at `priority` is for tunnels' own datagrams.
    static func isWay(_ priority: UInt32) -> Bool {
        (14_800..<14_800 + 3 * slots).contains(priority) || (32_700..<32_700 + slots).contains(priority)
    }

    /// The priority of the rule that looks main up, for a prefix length of 0...128.
    static func main(length: Int, table: UInt32) -> UInt32 {
        first + (UInt32(128 - length) * slots + table % slots) * 2
    }

    /// The priority of the rule that looks the tunnel's table up.
    static func tunnel(length: Int, table: UInt32) -> UInt32 { main(length: length, table: table) + 1 }

    /// Whether `priority` is one at which a tunnel with this table looks main up.
    static func isMain(_ priority: UInt32, of table: UInt32) -> Bool {
        guard (first..<first + 129 * slots * 2).contains(priority) else { return false }
        return (priority - first) % (slots * 2) == table % slots * 2
    }

    /// The rules that exist for a tunnel's table only.
    static func rules(of table: UInt32, among rules: [Rule]) -> [Rule] {
        let way = UnderlayWay.table(of: table)
        // A mark is the table's number, unless it was chosen by hand.
        let marks = Set(rules.filter { $0.table == way }.compactMap(\.mark))
        return rules.filter { rule in
            if rule.table == table || rule.table == way { return true }
            if isWay(rule.priority), let mark = rule.mark { return mark == table || marks.contains(mark) }
            guard rule.table == RouteTable.main, rule.suppressPrefixLength != nil, isMain(rule.priority, of: table)
            else { return false }
            return !rules.contains {
                $0.family == rule.family && $0.priority == rule.priority + 1 && $0.table != table
            }
        }
    }
}
