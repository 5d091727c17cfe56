// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftLink

/// What an AF_XDP data path is made from.
public struct XDPConfiguration: Sendable {
    /// The overlay interface's name.
    public var name: String
    public var addresses: [InterfaceAddress]
    /// Bytes of an inner packet.
    public var mtu: Int
    /// The underlay's interface; nil for the one that leads to all endpoints.
    public var underlay: String?
    /// What is routed into the overlay's interface.
    public var routes: TunnelRoutes
    /// What the datagrams that the kernel sends are marked with; 0 for nothing.
    public var mark: UInt32
    /// Whether each queue's thread stays on a processor of its own.
    public var pinsThreads = false
    /// The one of the host's addresses that it works with; nil for all.
    public var listenAddress: IPAddress?
    public var options = XDPOptions()
    /// Whether a life before this one left its dead ends closed; see ``HostWants/isTakenOver``.
    public var isTakenOver = false

    public init(
        name: String, addresses: [InterfaceAddress], mtu: Int, underlay: String? = nil, routes: TunnelRoutes = .none,
        mark: UInt32 = 0
    ) {
        self.name = name
        self.addresses = addresses
        self.mtu = mtu
        self.underlay = underlay
        self.routes = routes
        self.mark = mark
    }
}

/// What a queue is doing.
public struct XDPQueueStatus: Hashable, Sendable {
    /// How its socket on the underlay is bound; nil while that interface is gone.
    public var underlay: XDPOptions.Copying?
    /// Frames of the UMEM, and how many of them are free, in rings, or on their way.
    public var frames: Int
    public var accounted: Int
    /// Those of them that are to be sent.
    public var inFlight: Int
    /// Packets that the kernel could not give to a socket: its rings were empty or full, or the packet too long.
    public var missed: UInt64
    /// Datagrams that were left to the kernel's socket.
    public var sentByKernel: UInt64
}
