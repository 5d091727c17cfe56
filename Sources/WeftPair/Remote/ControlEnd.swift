// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft

/// The control process' end of the pair: takes records, and sends records in order, waiting for room where it must.
public final class ControlEnd {
    private let socket: PairSocket
    private var reader = PairReader<ToControl>()
    private var outbox = PairOutbox<ToData>()

    public init(_ socket: PairSocket) { self.socket = socket }

    /// Queues a record; it leaves with the next ``flush()``.
    public func send(_ record: ToData) { outbox.append(record) }

    /// Sends all that is queued.
    public func flush() throws(PairFailure) {
        while true {
            try outbox.flush(to: socket)
            guard !outbox.isEmpty else { return }
            // The data process never waits for us, so it will read.
            _ = wait(for: POLLOUT, milliseconds: -1)
        }
    }

    /// Waits at most so long for records, and hands them over.
    public func receive(milliseconds: Int32, _ take: (ToControl) -> Void) throws(PairFailure) {
        guard wait(for: POLLIN, milliseconds: milliseconds) else { return }
        try reader.receive(from: socket, take)
    }

    private func wait(for events: Int32, milliseconds: Int32) -> Bool {
        var waiting = pollfd(fd: socket.descriptor, events: Int16(events), revents: 0)
        return unsafe poll(&waiting, 1, milliseconds) > 0
    }
}
