// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// An underlay transport that is registered: its id, and the way to its two ends.
///
/// It sends what it receives from its network into a ``FromUnderlayEnd``, one for each of its threads. What leaves the
/// data plane it gets as ``ToUnderlay`` batches, through the ``UnderlaySender`` that it registered with.
public final class UnderlayTransport: Sendable {
    private struct Direct: ~Copyable {
        /// Nil once the transport was removed.
        var sender: (any UnderlaySender)?
        var batch = ToUnderlay(capacity: 1, room: 0)
        var traffic = DirectTraffic()
    }

    public let id: TransportID
    public let name: String
    let engine: Engine
    let streams: PacketStreams
    private let direct: Mutex<Direct>
    private let isOpen = Atomic(true)

    init(_ id: TransportID, name: String, _ engine: Engine, _ streams: PacketStreams, _ sender: any UnderlaySender) {
        self.id = id
        self.name = name
        self.engine = engine
        self.streams = streams
        direct = Mutex(Direct(sender: sender))
    }

    /// Whether it has not been removed.
    public var isRegistered: Bool { isOpen.load(ordering: .acquiring) }

    public var directTraffic: DirectTraffic { direct.withLock { $0.traffic } }

    /// Makes an end for one thread to send batches from the network into. It takes a lane of the engine's.
    /// - Parameter overlay: where opened packets go; an end that this thread alone uses.
    public func makeEnd(overlay: any OverlaySender) throws(EngineError) -> FromUnderlayEnd {
        FromUnderlayEnd(self, try Lane(engine), overlay: overlay)
    }

    /// Sends a datagram past routing, from any thread; waits while others do. Nil when the transport took it.
    /// - Parameters:
    ///   - local: the address of ours that it leaves from; nil for the kernel's choice.
    ///   - inFragments: whether it goes in fragments, by the host or by routers, where the way doesn't take it whole.
    public func send(
        _ datagram: RawSpan, to destination: Endpoint, from local: IPAddress? = nil, inFragments: Bool = false
    ) -> SendFailure? {
        direct.withLock { direct in
            guard let sender = direct.sender else { return .removed }
            guard !datagram.isEmpty, datagram.byteCount <= ToUnderlay.largestRun else { return .tooLong }
            direct.batch.removeAll()
            direct.batch.append(datagram, to: destination, from: local, inFragments: inFragments)
            var failure: SendFailure?
            sender.send(direct.batch) { _, _, reason in failure = reason }
            direct.traffic.count(failure == nil ? 1 : 0, of: 1)
            return failure
        }
    }

    /// Bytes of the longest inner packet that the host's way to an endpoint takes whole; nil where nobody knows.
    package func longestPacket(to endpoint: Endpoint) -> Int? {
        direct.withLock { $0.sender?.pathMTU(to: endpoint) }
            .map { TunnelMTU.inner(underlay: $0, family: endpoint.address.family) }
    }

    /// Sends a batch as ``UnderlaySender/send(_:failed:)`` does, from any thread; nothing once it was removed.
    package func send(_ batch: borrowing ToUnderlay, failed: (_ run: Int, _ datagrams: Int, SendFailure) -> Void) {
        direct.withLock { direct in direct.sender?.send(batch, failed: failed) }
    }

    /// Returns when nothing is being sent to it any more.
    func close() {
        isOpen.store(false, ordering: .releasing)
        let sender = direct.withLock { direct in direct.sender.take() }
        _ = consume sender
    }
}
