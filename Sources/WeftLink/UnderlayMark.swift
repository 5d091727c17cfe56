// SPDX-License-Identifier: Apache-2.0

/// The marks (SO_MARK) of tunnels' own datagrams, and the numbers of their tables: the letters "we" and the UDP port, which
/// no two tunnels of a host share. So one rule tells the datagrams of all tunnels from everything else.
public enum UnderlayMark {
    /// What the marks of all tunnels have in common.
    public static let common: UInt32 = 0x7765_0000
    /// The bits that they have in common.
    public static let mask: UInt32 = 0xFFFF_0000

    /// The mark of the tunnel on a port, and the number of its table.
    public static func own(port: UInt16) -> UInt32 { common | UInt32(port) }

    /// Whether a table is one that tunnels' own datagrams go by.
    static func isWay(_ table: UInt32) -> Bool { table & mask == UnderlayWay.table(of: common) }

    /// Whether other tunnels know the mark for one of a tunnel's own datagrams.
    public static func isCommon(_ mark: UInt32) -> Bool { mark & mask == common }
}
