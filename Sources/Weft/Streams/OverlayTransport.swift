// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// An overlay transport that is registered; as ``UnderlayTransport``, the other way around.
public final class OverlayTransport: Sendable {
    private struct Direct: ~Copyable {
        var sender: (any OverlaySender)?
        var traffic = DirectTraffic()
    }

    public let id: TransportID
    public let name: String
    let engine: Engine
    private let direct: Mutex<Direct>
    private let isOpen = Atomic(true)

    init(_ id: TransportID, name: String, _ engine: Engine, _ sender: (any OverlaySender)?) {
        self.id = id
        self.name = name
        self.engine = engine
        direct = Mutex(Direct(sender: sender))
    }

    /// Whether it has not been removed.
    public var isRegistered: Bool { isOpen.load(ordering: .acquiring) }

    public var directTraffic: DirectTraffic { direct.withLock { $0.traffic } }

    /// Makes an end for one thread to send the overlay's batches into. It takes a lane of the engine's.
    /// - Parameters:
    ///   - underlay: where sealed datagrams go.
    ///   - overlay: where the data plane's own replies to the overlay go. Both are ends that this thread alone uses.
    public func makeEnd(
        underlay: any UnderlaySender, overlay: any OverlaySender
    ) throws(EngineError) -> FromOverlayEnd {
        FromOverlayEnd(self, try Lane(engine), underlay: underlay, overlay: overlay)
    }

    /// Sends a packet past routing, from any thread. Nil when the transport took it.
    public func send(_ packet: RawSpan) -> SendFailure? {
        direct.withLock { direct in
            guard let sender = direct.sender else { return .removed }
            let failure = sender.send(packet)
            direct.traffic.count(failure == nil ? 1 : 0, of: 1)
            return failure
        }
    }

    func close() {
        isOpen.store(false, ordering: .releasing)
        let sender = direct.withLock { direct in direct.sender.take() }
        _ = consume sender
    }
}
