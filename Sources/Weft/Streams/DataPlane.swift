// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization

/// Where transports and consumers meet the engine. Both come and go under traffic, from any thread.
public final class DataPlane: Sendable {
    public let engine: Engine
    /// The streams of all kinds but data.
    public let streams = PacketStreams()
    private let registry = Mutex(Registry())

    private struct Registry {
        var next: UInt64 = 1
        var underlays: [TransportID: UnderlayTransport] = [:]
        var overlays: [TransportID: OverlayTransport] = [:]

        mutating func newID() -> TransportID {
            defer { next += 1 }
            return TransportID(number: next)
        }
    }

    public init(engine: Engine) { self.engine = engine }

    /// Registers an underlay transport.
    /// - Parameters:
    ///   - sender: where it gets what is sent straight to it; an end that nobody else uses.
    ///   - name: for people.
    public func add(underlay sender: any UnderlaySender, name: String) -> UnderlayTransport {
        registry.withLock { registry in
            let transport = UnderlayTransport(registry.newID(), name: name, engine, streams, sender)
            registry.underlays[transport.id] = transport
            return transport
        }
    }

    /// Registers an overlay transport.
    /// - Parameters:
    ///   - sender: where it gets what is sent straight to it; nil where it takes nothing.
    ///   - name: for people.
    public func add(overlay sender: (any OverlaySender)?, name: String) -> OverlayTransport {
        registry.withLock { registry in
            let transport = OverlayTransport(registry.newID(), name: name, engine, sender)
            registry.overlays[transport.id] = transport
            return transport
        }
    }

    /// Takes a transport out: nothing is sent to it any more when this returns, and its ends take no more batches.
    public func remove(_ id: TransportID) {
        let (underlay, overlay) = registry.withLock { registry in
            (registry.underlays.removeValue(forKey: id), registry.overlays.removeValue(forKey: id))
        }
        underlay?.close()
        overlay?.close()
    }

    func removeAll() {
        for id in registry.withLock({ Array($0.underlays.keys) + Array($0.overlays.keys) }) { remove(id) }
    }

    /// The underlay transports that are registered, the first registered first.
    public var underlays: [UnderlayTransport] {
        registry.withLock { $0.underlays.values.sorted { $0.id.number < $1.id.number } }
    }

    /// The overlay transports that are registered, the first registered first.
    public var overlays: [OverlayTransport] {
        registry.withLock { $0.overlays.values.sorted { $0.id.number < $1.id.number } }
    }

    /// Sends a datagram straight to an underlay transport, past routing, such as a probe or the answer to what came by
    /// it. Nil when the transport took it; ``SendFailure/removed`` when there is none of that id.
    /// - Parameter local: the address of ours that it leaves from; nil for the kernel's choice.
    public func send(
        _ datagram: RawSpan, to destination: Endpoint, from local: IPAddress? = nil, by id: TransportID
    ) -> SendFailure? {
        guard let transport = registry.withLock({ $0.underlays[id] }) else { return .removed }
        return transport.send(datagram, to: destination, from: local)
    }

    /// Sends a packet straight to an overlay transport, past routing.
    public func send(_ packet: RawSpan, by id: TransportID) -> SendFailure? {
        guard let transport = registry.withLock({ $0.overlays[id] }) else { return .removed }
        return transport.send(packet)
    }
}

extension SendFailure {
    /// No such transport is registered.
    public static let removed = SendFailure.refused(ENODEV)
}

extension ToUnderlay {
    /// Appends a datagram that is sent past routing: it is of no network.
    /// - Precondition: the batch has room for the run and its bytes.
    /// - Parameter inFragments: whether it goes without don't-fragment.
    public mutating func append(
        _ datagram: RawSpan, to destination: Endpoint, from local: IPAddress? = nil, inFragments: Bool = false
    ) {
        let start = reserved
        var room = arena.mutableBytes
        room.copy(datagram, to: start)
        _ = append(
            start..<start + datagram.byteCount, to: destination, from: local, network: .none,
            longestPacket: inFragments ? 0 : .max)
    }
}
