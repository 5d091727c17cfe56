// SPDX-License-Identifier: Apache-2.0

/// What a lane counts. RX is from the underlay, TX is to the underlay, as operators expect.
enum Counter: Int, CaseIterable {
    /// Datagrams that were authentic and permitted, keep-alives included.
    case rxPackets
    /// Inner bytes of those.
    case rxBytes
    /// Those of `rxPackets` that carried an out-of-band message and went no further.
    case rxOutOfBand
    /// Packets sealed, keep-alives included.
    case txPackets
    /// Inner bytes of those.
    case txBytes
    case txKeepAlives
    /// ARP requests and neighbour solicitations answered.
    case localReplies
    // Datagrams of other kinds that went to their streams, in the order of `PacketKind`.
    case rxControl
    case rxSTUN
    case rxDisco
    case rxWireGuard
    case rxUnknown
    /// The clock when the last datagram was accepted, in nanoseconds.
    case lastReceive

    static let dropBase = allCases.count
}
