// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Weft

/// One end of the pair between the data process and the control process: messages keep their boundaries and their order.
public final class PairSocket: Sendable {
    private let owner: FileDescriptor
    /// Readable (POLLIN) when a message waits or the other end is gone.
    public var descriptor: Int32 { owner.raw }

    /// What both ends' send buffers are raised to, in bytes. The kernel's default holds 93 messages of QUIC's size.
    private static let bufferByteCount: Int32 = 4 << 20

    /// Takes over a connected SEQPACKET socket.
    public init(_ descriptor: consuming FileDescriptor) { owner = descriptor }

    /// Makes a pair and hands the other end to `use`. Its buffers are raised as far as our rights go.
    public static func makePair(
        _ use: (consuming FileDescriptor) throws(TransportError) -> Void
    ) throws(TransportError) -> PairSocket {
        var ends: (Int32, Int32) = (-1, -1)
        try SystemCall.retrying("make a socket pair") {
            unsafe withUnsafeMutableBytes(of: &ends) { bytes in
                // Safe: a tuple of two integers lies in memory like an array of two.
                unsafe bytes.assumingMemoryBound(to: Int32.self).baseAddress.map {
                    unsafe socketpair(
                        AF_UNIX,
                        Int32(SOCK_SEQPACKET.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
                            | Int32(SOCK_NONBLOCK.rawValue), 0, $0)
                } ?? -1
            }
        }
        for end in [ends.0, ends.1] {
            var count = bufferByteCount
            let size = socklen_t(MemoryLayout<Int32>.size)
            if unsafe setsockopt(end, SOL_SOCKET, SO_SNDBUFFORCE, &count, size) != 0 {
                _ = unsafe setsockopt(end, SOL_SOCKET, SO_SNDBUF, &count, size)
            }
        }
        let own = PairSocket(FileDescriptor(owning: ends.0))
        try use(FileDescriptor(owning: ends.1))
        return own
    }

    enum Outcome {
        case done
        /// The other end hasn't read enough.
        case full
        /// The other end is gone.
        case closed
    }

    /// Sends the first `count` bytes of a buffer as one message, without waiting.
    func send(_ buffer: borrowing PairBuffer, count: Int) -> Outcome {
        while true {
            // Safe: the kernel reads `count` bytes of the buffer, which holds more.
            let sent = unsafe buffer.bytes.withUnsafeBytes { bytes in
                unsafe Glibc.send(descriptor, bytes.baseAddress, min(count, bytes.count), Int32(MSG_NOSIGNAL))
            }
            if sent >= 0 { return .done }
            switch errno {
            case EINTR: continue
            case EAGAIN, ENOBUFS, ENOMEM: return .full
            default: return .closed
            }
        }
    }

    /// Takes the next message without waiting: its length, nil where none waits.
    func receive(into buffer: inout PairBuffer) throws(PairClosed) -> Int? {
        while true {
            var bytes = buffer.mutableBytes
            // Safe: the kernel writes at most as many bytes as the buffer has.
            let count = unsafe bytes.withUnsafeMutableBytes { bytes in
                unsafe recv(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_DONTWAIT))
            }
            // Nobody sends empty messages: it is the end.
            if count > 0 { return count }
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN || errno == EWOULDBLOCK { return nil }
            throw PairClosed()
        }
    }
}

/// The other end of a pair is gone.
public struct PairClosed: Error, Hashable, Sendable {}
