// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Synchronization
import Weft

/// The receiving end of a UDP socket: one thread's.
public final class UDPReceiver: UnderlayReceiver {
    private let socket: UDPSocket
    private let wake: WakeEvent
    private let buffers: Mutex<MessageBuffers>

    public init(_ socket: UDPSocket, wake: WakeEvent, batch: Int = 64) {
        self.socket = socket
        self.wake = wake
        buffers = Mutex(MessageBuffers(capacity: batch))
    }

    public func receive(into batch: inout FromUnderlay, timeout: Int32) throws(TransportError) {
        guard try wake.wait(for: socket.raw, events: POLLIN, timeout: timeout) == .ready else { return }
        let failure: TransportError? = buffers.withLock { buffers in
            let count = min(batch.capacity, buffers.capacity)
            let slotSize = batch.slotSize
            var bytes = batch.arena.mutableBytes
            let got = unsafe bytes.withUnsafeMutableBytes { memory in
                guard let base = memory.baseAddress else { return 0 as Int32 }
                // Safe: each message gets a slot of its own, and the kernel is done with them when the call returns.
                for index in 0..<count {
                    unsafe buffers.set(
                        index, bytes: base + index * slotSize, count: slotSize, address: SocketAddress(),
                        addressLength: socklen_t(MemoryLayout<sockaddr_in6>.size))
                }
                return buffers.receive(socket.raw, count: count)
            }
            guard got >= 0 else {
                let code = errno
                return [EAGAIN, EINTR].contains(code) ? nil : TransportError("receive from the underlay", code: code)
            }
            for index in 0..<Int(got) {
                let (count, source, isTruncated) = buffers.received(index)
                batch.datagrams.append(
                    FromUnderlay.Datagram(
                        place: PacketRange(offset: index * slotSize, count: count), source: source.endpoint,
                        isTruncated: isTruncated))
            }
            return nil
        }
        if let failure { throw failure }
    }
}

/// A sending end of a UDP socket: one thread's. Several ends share a socket.
public final class UDPSender: UnderlaySender {
    private let socket: UDPSocket
    private let wake: WakeEvent
    private let buffers: Mutex<MessageBuffers>
    /// How long a full socket buffer is waited for before its datagram is given up: milliseconds.
    private static let patience: Int32 = 1000

    public init(_ socket: UDPSocket, wake: WakeEvent, batch: Int = 64) {
        self.socket = socket
        self.wake = wake
        buffers = Mutex(MessageBuffers(capacity: batch))
    }

    public func send(_ batch: borrowing ToUnderlay, failed: (Int, SendFailure) -> Void) {
        buffers.withLock { buffers in
            var first = 0
            while first < batch.datagrams.count {
                let count = min(buffers.capacity, batch.datagrams.count - first)
                send(first..<first + count, of: batch, through: &buffers, failed: failed)
                first += count
            }
        }
    }

    private func send(
        _ range: Range<Int>, of batch: borrowing ToUnderlay, through buffers: inout MessageBuffers,
        failed: (Int, SendFailure) -> Void
    ) {
        unsafe batch.arena.bytes.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            for index in range {
                let datagram = batch.datagrams[index]
                // An endpoint that the socket can't reach fails in the call, with the address left empty.
                let address = SocketAddress(datagram.destination, socket.family) ?? SocketAddress()
                // Safe: sendmmsg only reads through the pointer, and the bytes stay until it returns.
                unsafe buffers.set(
                    index - range.lowerBound,
                    bytes: UnsafeMutableRawPointer(mutating: base + datagram.place.offset),
                    count: datagram.place.count, address: address,
                    addressLength: SocketAddress.length(socket.family))
            }
            var next = 0
            while next < range.count {
                let sent = buffers.send(socket.raw, from: next, count: range.count - next)
                if sent > 0 {
                    next += Int(sent)
                    continue
                }
                let code = errno
                if code == EINTR { continue }
                if code == EAGAIN, (try? wake.wait(for: socket.raw, events: POLLOUT, timeout: Self.patience)) == .ready
                {
                    continue
                }
                // The error is the first message's; the others have not been tried.
                failed(range.lowerBound + next, code == EMSGSIZE ? .tooLong : .refused(code))
                next += 1
            }
        }
    }

    public func pathMTU(to endpoint: Endpoint) -> Int? { socket.pathMTU(to: endpoint) }
}
