// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftLink

/// What a tunnel's table in the packet filter is to do.
public struct GuardPlan: Hashable, Sendable {
    /// The tunnel's interface.
    public var name: String
    /// The mark of the tunnel's own datagrams.
    public var mark: UInt32
    /// The number of the tunnel's own routing table.
    public var table: UInt32
    /// What may leave by the tunnel's interface only; nothing where the tunnel isn't guarded.
    public var guarded: [Prefix]
    /// Ports of ours to which datagrams come that the reverse path filter must let pass; none unless it asks for it.
    public var arrivals: [UInt16]
    /// Whether answers to marked datagrams from other ports are to pass it as well, which takes connection tracking.
    public var tracksAnswers: Bool

    public init(
        name: String, mark: UInt32, table: UInt32, guarded: [Prefix] = [], arrivals: [UInt16] = [],
        tracksAnswers: Bool = false
    ) {
        self.name = name
        self.mark = mark
        self.table = table
        self.guarded = guarded
        self.arrivals = arrivals
        self.tracksAnswers = tracksAnswers
    }

    /// Whether there is anything to do.
    public var isEmpty: Bool { guarded.isEmpty && arrivals.isEmpty && !tracksAnswers }

    /// The name of the tunnel's table in the packet filter.
    public var tableName: String { Self.tableName(of: name) }

    public static func tableName(of tunnel: String) -> String { "weft-\(tunnel)" }
}
