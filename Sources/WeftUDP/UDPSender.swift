// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Synchronization
import Weft

/// A sending end of a UDP socket: one thread's. Several ends share a socket.
public final class UDPSender: UnderlaySender {
    private let socket: UDPSocket
    private let wake: WakeEvent
    private let state: Mutex<State>
    /// How long a full socket buffer is waited for before its datagrams are given up: milliseconds.
    private static let patience: Int32 = 1000

    private struct State: ~Copyable {
        var messages: MessageBuffers
        /// Which run each message is from, and how many of its datagrams it holds.
        var contents: FixedArray<(run: Int, offset: Int, datagrams: Int)>
    }

    /// - Parameter batch: messages that one call sends.
    public init(_ socket: UDPSocket, wake: WakeEvent, batch: Int = 64) {
        self.socket = socket
        self.wake = wake
        state = Mutex(State(messages: MessageBuffers(capacity: batch), contents: FixedArray(capacity: batch)))
    }

    public func send(
        _ batch: borrowing ToUnderlay, failed: (_ run: Int, _ datagrams: Int, SendFailure) -> Void
    ) {
        state.withLock { state in
            var run = 0
            var offset = 0
            while run < batch.runs.count {
                fill(&state, from: batch, &run, &offset)
                flush(&state, of: batch, &run, &offset, failed: failed)
            }
        }
    }

    public func pathMTU(to endpoint: Endpoint) -> Int? { socket.pathMTU(to: endpoint) }

    /// Fills messages from a place in the batch on, and moves the place behind them.
    private func fill(_ state: inout State, from batch: borrowing ToUnderlay, _ run: inout Int, _ offset: inout Int) {
        state.contents.removeAll()
        let isWhole = socket.capabilities.segmentation
        let length = SocketAddress.length(socket.family)
        unsafe batch.arena.bytes.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            while run < batch.runs.count, !state.contents.isFull {
                let next = batch.runs[run]
                let left = next.place.count - offset
                let count = isWhole ? left : min(left, next.segmentSize)
                // An endpoint that the socket can't reach fails in the call, with the address left empty.
                let address = SocketAddress(next.destination, socket.family) ?? SocketAddress()
                // Safe: the run lies in the arena, whose bytes stay until the call that reads them returns.
                unsafe state.messages.set(
                    state.contents.count, bytes: base + next.place.offset + offset, count: count, address: address,
                    addressLength: length, segmentSize: count > next.segmentSize ? next.segmentSize : nil)
                state.contents.append(
                    (run: run, offset: offset, datagrams: (count + next.segmentSize - 1) / next.segmentSize))
                offset += count
                if offset >= next.place.count {
                    run += 1
                    offset = 0
                }
            }
        }
    }

    /// Sends the messages. When segmentation is refused on the way it moves the place back to what has not gone.
    private func flush(
        _ state: inout State, of batch: borrowing ToUnderlay, _ run: inout Int, _ offset: inout Int,
        failed: (_ run: Int, _ datagrams: Int, SendFailure) -> Void
    ) {
        var next = 0
        while next < state.contents.count {
            let sent = state.messages.send(socket.raw, from: next, count: state.contents.count - next)
            if sent > 0 {
                next += Int(sent)
                continue
            }
            let code = errno
            if code == EINTR { continue }
            if code == EAGAIN, (try? wake.wait(for: socket.raw, events: POLLOUT, timeout: Self.patience)) == .ready {
                continue
            }
            // The error is the first message's; the others have not been tried.
            let content = state.contents[next]
            if content.datagrams > 1, [EIO, EINVAL, EOPNOTSUPP].contains(code) {
                // A device or a route that can't segment says so now only: send one by one from here on.
                socket.refuseSegmentation()
                run = content.run
                offset = content.offset
                return
            }
            failed(content.run, content.datagrams, code == EMSGSIZE ? .tooLong : .refused(code))
            next += 1
        }
    }
}
