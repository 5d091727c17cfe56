// SPDX-License-Identifier: Apache-2.0
import Synchronization
import Weft

/// Where control datagrams come from and go to. One thread receives; any may send.
public protocol ControlLink: Sendable {
    /// Readable (POLLIN) when datagrams wait, for loops that wait for several things.
    var descriptor: Int32 { get }

    /// Waits at most `timeout` milliseconds, or until `wake` is signalled, and hands over what came.
    func receive(timeout: Int32, wake: WakeEvent, _ take: ([UInt8], AddressPair) -> Void) throws(TransportError)

    /// Sends to the far end, from the address of ours that the pair names. What can't be sent is lost on the way, as anything
    /// may be: QUIC sends it again.
    func send(_ datagram: RawSpan, to place: AddressPair)
}

/// The port that data comes to, which control shares.
public final class SharedPort: ControlLink {
    private let datagrams: ControlConsumer
    private let underlay: UnderlayTransport
    private let batch = Mutex(ControlConsumer.Batches())

    /// - Parameters:
    ///   - plane: where the port's datagrams are told apart; it must have no other consumer of control's.
    ///   - underlay: the port, to send from.
    ///   - gate: decides what of strangers' is taken; nil where who takes the datagrams does that.
    public init(
        _ plane: DataPlane, sendingBy underlay: UnderlayTransport, gate: ControlGate? = nil
    ) throws(StreamError) {
        datagrams = try plane.streams.consumeControl(by: gate)
        self.underlay = underlay
    }

    public var descriptor: Int32 { datagrams.descriptor }

    public func receive(timeout: Int32, wake: WakeEvent, _ take: ([UInt8], AddressPair) -> Void) throws(TransportError)
    {
        try batch.withLock { (batch: inout sending ControlConsumer.Batches) throws(TransportError) in
            try datagrams.receive(into: &batch, timeout: timeout, wake: wake)
            batch.forEach { take($0.copied, $1) }
        }
    }

    /// Bytes of the longest datagram that every IPv4 path is taken to carry whole: 1,200 with its headers. QUIC's first ones are longer.
    /// IPv6 carries all of QUIC's.
    private static let longestWhole = 1200 - 20 - 8

    public func send(_ datagram: RawSpan, to place: AddressPair) {
        _ = underlay.send(
            datagram, to: place.remote, from: place.local,
            inFragments: place.remote.address.family == .v4 && datagram.byteCount > Self.longestWhole)
    }
}

/// A UDP port of control's own.
public final class OwnPort: ControlLink {
    private let socket: UDPSocket
    private let receiver: UDPReceiver
    private let way: Way
    private let batch = Mutex(FromUnderlay(capacity: 16, slotSize: 2048))

    /// How datagrams leave.
    private enum Way: Sendable {
        /// Counted among the data plane's.
        case counted(UnderlayTransport)
        case bare
    }

    /// A port beside a data plane's, which counts what is sent.
    /// - Parameters:
    ///   - port: 1 to 65535.
    ///   - address: the one of our addresses that it works with; nil for all.
    ///   - mark: the mark of the socket's datagrams; 0 for none.
    ///   - wake: what ends a wait in ``receive(timeout:wake:_:)``, the one that is handed to it.
    public init(
        port: UInt16, address: IPAddress? = nil, mark: UInt32, _ plane: DataPlane, wake: WakeEvent
    ) throws(DatapathError) {
        socket = try UDPSocket(port: port, address: address, mark: mark, offloads: [], inFragments: true)
        receiver = UDPReceiver(socket, wake: wake)
        way = .counted(plane.add(underlay: UDPSender(socket, wake: wake), name: "control"))
    }

    /// The port that it is bound to.
    public var port: UInt16 { socket.port }

    /// A port without a data plane; 0 lets the system choose.
    public init(port: UInt16 = 0, mark: UInt32 = 0, wake: WakeEvent) throws(DatapathError) {
        socket = try UDPSocket(port: port, mark: mark, offloads: [], inFragments: true)
        receiver = UDPReceiver(socket, wake: wake)
        way = .bare
    }

    public var descriptor: Int32 { socket.raw }

    public func receive(timeout: Int32, wake: WakeEvent, _ take: ([UInt8], AddressPair) -> Void) throws(TransportError)
    {
        try batch.withLock { (batch: inout sending FromUnderlay) throws(TransportError) in
            batch.removeAll()
            try receiver.receive(into: &batch, timeout: timeout)
            for index in 0..<batch.buffers.count {
                let buffer = batch.buffers[index]
                guard !buffer.isTruncated else { continue }
                take(
                    batch.arena.bytes.extracting(buffer.place.range).copied,
                    AddressPair(buffer.source, from: buffer.local))
            }
        }
    }

    public func send(_ datagram: RawSpan, to place: AddressPair) {
        switch way {
        case .counted(let transport): _ = transport.send(datagram, to: place.remote, from: place.local)
        case .bare: _ = socket.send(datagram, to: place.remote, from: place.local)
        }
    }
}
