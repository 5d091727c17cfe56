// SPDX-License-Identifier: Apache-2.0
import Synchronization
import Weft

/// A port of the system's choice beside a tunnel's own: datagrams to some places leave from it, and what comes to it is the tunnel's,
/// too. A router may translate the tunnel's own port wrongly, or as it did before it rebooted, for as long as datagrams come from there.
///
/// It is opened when it is used for the first time. Any thread may change it; senders look once a batch.
public final class SecondPort: Sendable {
    /// What leaves from it, as of one moment.
    final class Use: Sendable {
        let places: Set<Endpoint>
        let socket: UDPSocket
        /// Where what the device can't take whole goes in fragments.
        let fragments: UDPSocket

        init(_ places: Set<Endpoint>, _ socket: UDPSocket, _ fragments: UDPSocket) {
            self.places = places
            self.socket = socket
            self.fragments = fragments
        }
    }

    private struct State {
        var sockets: (port: UDPSocket, fragments: UDPSocket)?
        var use: Use?
    }

    private let address: IPAddress?
    private let mark: UInt32
    private let offloads: Offloads
    private let state = Mutex(State())
    /// Another one with each change.
    private let generation = Atomic<UInt64>(0)

    /// - Parameters:
    ///   - address: the one of our addresses that it works with; nil for all.
    ///   - mark: as of the tunnel's own socket.
    public init(address: IPAddress?, mark: UInt32, offloads: Offloads) {
        self.address = address
        self.mark = mark
        self.offloads = offloads
    }

    /// Has datagrams to these places leave from it from now on, and no others.
    /// - Parameters:
    ///   - isFresh: whether it is to be another port than before; what waits at that is lost.
    ///   - receive: called with the socket once it is open, for whoever is to take what comes to it.
    /// - Returns: the port; nil where nothing leaves from it.
    public func serve(
        _ places: Set<Endpoint>, isFresh: Bool, receive: (UDPSocket) throws(DatapathError) -> Void
    ) throws(DatapathError) -> UInt16? {
        try state.withLock { (state) throws(DatapathError) in
            defer { generation.wrappingAdd(1, ordering: .releasing) }
            if places.isEmpty {
                state.use = nil
                return nil
            }
            if let sockets = state.sockets {
                if isFresh {
                    let (port, fragments) = try open()
                    try sockets.port.become(port)
                    try sockets.fragments.become(fragments)
                }
                state.use = Use(places, sockets.port, sockets.fragments)
            } else {
                let sockets = try open()
                try receive(sockets.port)
                state.sockets = sockets
                state.use = Use(places, sockets.port, sockets.fragments)
            }
            return state.use?.socket.port
        }
    }

    private func open() throws(DatapathError) -> (port: UDPSocket, fragments: UDPSocket) {
        let port = try UDPSocket(port: 0, address: address, mark: mark, role: .opensPort, offloads: offloads)
        let fragments = try UDPSocket(port: port.port, address: address, mark: mark, role: .fragments, offloads: [])
        try port.steer(receivers: 1)
        return (port, fragments)
    }

    /// Whether datagrams to a place leave from it.
    public func serves(_ place: Endpoint) -> Bool { state.withLock { $0.use?.places.contains(place) ?? false } }

    /// Brings a sender's copy up to date.
    @inline(__always)
    func refresh(_ copy: inout Copy) {
        guard copy.generation != generation.load(ordering: .acquiring) else { return }
        state.withLock { state in
            copy.generation = generation.load(ordering: .acquiring)
            copy.use = state.use
        }
    }

    /// What a sender knows of it.
    struct Copy {
        var use: Use?
        fileprivate var generation: UInt64 = 0
    }

    /// Gives its sockets back to the system. No end may be in use any more.
    public func close() {
        state.withLock { state in
            state.sockets?.port.close()
            state.sockets?.fragments.close()
        }
    }
}
