// SPDX-License-Identifier: Apache-2.0

/// What was counted for a network, or for all of an engine.
public struct Statistics: Hashable, Sendable {
    /// Datagrams from the underlay that were authentic and permitted, keep-alives included.
    public internal(set) var rxPackets: UInt64 = 0
    /// Inner bytes of those.
    public internal(set) var rxBytes: UInt64 = 0
    /// Of `rxPackets`, those that carried an authenticated out-of-band message (a keep-alive).
    public internal(set) var rxOutOfBand: UInt64 = 0
    /// Packets sealed for the underlay, keep-alives included.
    public internal(set) var txPackets: UInt64 = 0
    /// Inner bytes of those.
    public internal(set) var txBytes: UInt64 = 0
    /// Of `txPackets`, the keep-alives.
    public internal(set) var txKeepAlives: UInt64 = 0
    /// ARP requests and neighbour solicitations answered (layer 2 mode).
    public internal(set) var localReplies: UInt64 = 0
    /// When the last datagram was accepted; nil before the first.
    public internal(set) var lastReceive: Instant?
    /// Datagrams of other kinds than data that their streams took; kinds without one are left out. The engine's alone:
    /// no network is known for them.
    public internal(set) var handedOver: [PacketKind: UInt64] = [:]
    /// Packets dropped, by reason; reasons without a drop are left out.
    public internal(set) var drops: [DropReason: UInt64] = [:]

    public init() {}

    /// Packets that came from the overlay: sealed, answered, or dropped without.
    public var fromOverlay: UInt64 {
        Self.difference(txPackets, txKeepAlives) &+ localReplies
            &+ dropped { $0.isFromOverlay && !$0.isTransportRefusal }
    }

    /// Datagrams that came from the underlay: accepted, handed to a stream of another kind, or dropped without.
    public var fromUnderlay: UInt64 {
        rxPackets &+ handedOver.values.reduce(0, &+)
            &+ dropped { !$0.isFromOverlay && !$0.isTransportRefusal }
    }

    /// Datagrams that went out on the underlay: sealed, keep-alives included, and not refused by the transport.
    public var toUnderlay: UInt64 {
        Self.difference(txPackets, dropped { $0.isFromOverlay && $0.isTransportRefusal })
    }

    /// Packets that went into the overlay: opened and not refused by the transport. Local replies aren't among them.
    public var toOverlay: UInt64 {
        Self.difference(rxPackets, rxOutOfBand &+ dropped { !$0.isFromOverlay && $0.isTransportRefusal })
    }

    /// Counters are read one after the other while lanes go on counting, so a part can exceed its whole for a moment.
    private static func difference(_ whole: UInt64, _ part: UInt64) -> UInt64 { whole > part ? whole - part : 0 }

    private func dropped(where matches: (DropReason) -> Bool) -> UInt64 {
        drops.reduce(0) { matches($1.key) ? $0 &+ $1.value : $0 }
    }
}
