// SPDX-License-Identifier: Apache-2.0
import Weft

/// The data process' end of the pair, which never waits. One thread uses it.
public final class DataEnd {
    private let socket: PairSocket
    private var reader = PairReader<ToData>()
    private var outbox = PairOutbox<ToControl>()

    public init(_ socket: PairSocket) { self.socket = socket }

    /// Readable (POLLIN) when records wait.
    public var descriptor: Int32 { socket.descriptor }
    /// Whether what must arrive waits for room (POLLOUT).
    public var isWaiting: Bool { !outbox.isEmpty }
    /// Records that found no room.
    public var dropped: UInt64 { outbox.dropped }

    /// Queues a record that must arrive; it leaves with the next ``flush()``.
    public func send(_ record: ToControl) { outbox.append(record) }

    /// Sends a record unless there is no room for it; whether there was.
    public func offer(_ record: ToControl) throws(PairFailure) -> Bool { try outbox.offer(record, to: socket) }

    /// Sends all that is queued, as far as there is room.
    public func flush() throws(PairFailure) { try outbox.flush(to: socket) }

    /// Hands over the records that wait.
    public func receive(_ take: (ToData) -> Void) throws(PairFailure) { try reader.receive(from: socket, take) }
}
