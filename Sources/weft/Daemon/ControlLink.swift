// SPDX-License-Identifier: Apache-2.0
import Synchronization
import Weft
import WeftUDP

/// Where control datagrams come from and go to. One thread receives; any may send.
protocol ControlLink: Sendable {
    /// Waits at most `timeout` milliseconds, or until `wake` is signalled, and hands over what came.
    func receive(timeout: Int32, wake: WakeEvent, _ take: ([UInt8], Endpoint) -> Void) throws(TransportError)

    /// What can't be sent is lost on the way, as anything may be: QUIC sends it again.
    func send(_ datagram: RawSpan, to endpoint: Endpoint)
}

/// The port that data comes to, which control shares.
final class SharedPort: ControlLink {
    private let datagrams: StreamConsumer
    private let underlay: UnderlayTransport
    private let batch: Mutex<ToConsumer>

    init(_ datapath: any TunnelDatapath) throws(StreamError) {
        datagrams = try datapath.plane.streams.consume(.control)
        underlay = datapath.transport
        batch = Mutex(datagrams.makeBatch())
    }

    func receive(timeout: Int32, wake: WakeEvent, _ take: ([UInt8], Endpoint) -> Void) throws(TransportError) {
        try batch.withLock { (batch: inout sending ToConsumer) throws(TransportError) in
            try datagrams.receive(into: &batch, timeout: timeout, wake: wake)
            for index in 0..<batch.datagrams.count { take(batch[index].copy(), batch.datagrams[index].source) }
        }
    }

    func send(_ datagram: RawSpan, to endpoint: Endpoint) { _ = underlay.send(datagram, to: endpoint) }
}

/// A port of control's own, where ICX's peers expect it.
final class OwnPort: ControlLink {
    private let socket: UDPSocket
    private let receiver: UDPReceiver
    private let transport: UnderlayTransport
    private let batch = Mutex(FromUnderlay(capacity: 16, slotSize: 2048))

    init(port: UInt16, mark: UInt32, _ plane: DataPlane, wake: WakeEvent) throws(DatapathError) {
        socket = try UDPSocket(port: port, mark: mark, offloads: [])
        receiver = UDPReceiver(socket, wake: wake)
        transport = plane.add(underlay: UDPSender(socket, wake: wake), name: "control")
    }

    func receive(timeout: Int32, wake: WakeEvent, _ take: ([UInt8], Endpoint) -> Void) throws(TransportError) {
        try batch.withLock { (batch: inout sending FromUnderlay) throws(TransportError) in
            batch.removeAll()
            try receiver.receive(into: &batch, timeout: timeout)
            for index in 0..<batch.buffers.count {
                let buffer = batch.buffers[index]
                guard !buffer.isTruncated else { continue }
                take(batch.arena.bytes.extracting(buffer.place.range).copy(), buffer.source)
            }
        }
    }

    func send(_ datagram: RawSpan, to endpoint: Endpoint) { _ = transport.send(datagram, to: endpoint) }
}

extension RawSpan {
    fileprivate func byte(at offset: Int) -> UInt8 { unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self) }

    fileprivate func copy() -> [UInt8] { (0..<byteCount).map { byte(at: $0) } }
}
