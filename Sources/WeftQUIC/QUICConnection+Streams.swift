// SPDX-License-Identifier: Apache-2.0
import CWeftQUIC
import Weft
import WeftControl

/// What we send on one stream, at a place that doesn't move until the peer has acknowledged it.
@safe
final class OutgoingStream {
    private let bytes: UnsafeMutableBufferPointer<UInt8>
    /// Bytes that ngtcp2 has taken.
    var taken = 0
    var hasEnded = false

    init(_ message: [UInt8]) {
        unsafe bytes = .allocate(capacity: max(message.count, 1))
        _ = unsafe bytes.initialize(fromContentsOf: message + (message.isEmpty ? [0] : []))
        count = message.count
    }

    deinit { unsafe bytes.deallocate() }

    let count: Int

    /// What is left to send; valid as long as the stream lives.
    @unsafe
    var rest: ngtcp2_vec {
        unsafe ngtcp2_vec(base: bytes.baseAddress.map { unsafe $0 + taken }, len: count - taken)
    }
}

extension QUICConnection {
    /// Datagrams that one call of ``flush(into:over:now:_:)`` sends at most.
    private static let burst = 256

    func open(_ message: [UInt8]) -> StreamID? {
        guard isEstablished else { return nil }
        return unsafe withConnection { connection in
            var stream: Int64 = -1
            guard unsafe ngtcp2_conn_open_bidi_stream(connection, &stream, nil) == 0 else { return nil }
            send(message, on: stream)
            return StreamID(rawValue: stream)
        }
    }

    func answer(_ message: [UInt8], on stream: StreamID) {
        guard isEstablished, isOpen, outgoing[stream.rawValue] == nil else { return }
        send(message, on: stream.rawValue)
    }

    private func send(_ message: [UInt8], on stream: Int64) {
        outgoing[stream] = OutgoingStream(message)
        unsent.append(stream)
    }

    func abandon(_ stream: StreamID) {
        _ = unsafe withConnection { connection in
            unsafe ngtcp2_conn_shutdown_stream(connection, 0, stream.rawValue, 1)
        }
    }

    /// Hands what is to be sent now to `send`. False if more is to be sent at once.
    func flush(
        into buffer: inout [UInt8], over path: NetworkPath, now: Instant, _ send: (Span<UInt8>, Endpoint) -> Void
    ) -> Bool {
        var isDone = true
        if isOpen {
            let streams = unsent
            unsent = []
            let code = unsafe buffer.withUnsafeMutableBufferPointer { packet in
                unsafe write(streams, into: packet, over: path, now, &isDone, send)
            }
            if code < 0 { end(readFailed: code, now) }
        }
        if case .over(let farewell, _) = state {
            if farewellIsDue, let farewellTarget { send(farewell.span, farewellTarget) }
            farewellIsDue = false
            return true
        }
        return isDone
    }

    /// Fills datagrams from the streams in turn, as many streams into one as fit. What a stream couldn't send stays
    /// in ``unsent``. Returns an error of ngtcp2's, or 0.
    @unsafe
    private func write(
        _ streams: [Int64], into packet: UnsafeMutableBufferPointer<UInt8>, over path: NetworkPath, _ now: Instant,
        _ isDone: inout Bool, _ send: (Span<UInt8>, Endpoint) -> Void
    ) -> Int32 {
        var next = 0
        defer { unsent += streams[next...] }
        var sent = 0
        path.clear()
        while sent < Self.burst {
            let stream = next < streams.count ? outgoing[streams[next]] : nil
            guard stream != nil || next == streams.count else {
                next += 1
                continue
            }
            let code = unsafe write(stream, stream == nil ? -1 : streams[next], into: packet, over: path, now)
            switch code {
            case 0: return 0
            case 1...:
                // Safe: ngtcp2 has written that many bytes, and they stay until `send` returns.
                let written = unsafe UnsafeBufferPointer(rebasing: packet[..<min(Int(code), packet.count)])
                if let target = path.remote { unsafe send(written.span, target) }
                sent += 1
                noteSent()
                path.clear()
                if stream?.hasEnded ?? false { next += 1 }
            case NGTCP2_ERR_WRITE_MORE, NGTCP2_ERR_STREAM_DATA_BLOCKED:
                // What a datagram with room left didn't take waits until the peer lets us send more.
                if let stream, !stream.hasEnded { unsent.append(streams[next]) }
                next += 1
            case NGTCP2_ERR_STREAM_SHUT_WR:
                stream?.hasEnded = true
                next += 1
            case NGTCP2_ERR_STREAM_NOT_FOUND:
                outgoing[streams[next]] = nil
                next += 1
            default: return code
            }
        }
        isDone = false
        return 0
    }

    /// Lets ngtcp2 write into a datagram; without a stream it finishes the datagram.
    @unsafe
    private func write(
        _ stream: OutgoingStream?, _ id: Int64, into packet: UnsafeMutableBufferPointer<UInt8>, over path: NetworkPath,
        _ now: Instant
    ) -> Int32 {
        let code = unsafe withConnection { connection -> Int? in
            guard let stream else {
                return unsafe ngtcp2_conn_writev_stream_versioned(
                    connection, path.pointer, NGTCP2_PKT_INFO_V1, nil, packet.baseAddress, packet.count, nil,
                    0, -1, nil, 0, now.nanoseconds)
            }
            var taken: ngtcp2_ssize = -1
            var vector = unsafe stream.rest
            let code = unsafe ngtcp2_conn_writev_stream_versioned(
                connection, path.pointer, NGTCP2_PKT_INFO_V1, nil, packet.baseAddress, packet.count, &taken,
                UInt32(NGTCP2_WRITE_STREAM_FLAG_MORE | NGTCP2_WRITE_STREAM_FLAG_FIN), id, &vector, 1, now.nanoseconds)
            if taken >= 0 {
                stream.taken += taken
                stream.hasEnded = stream.taken == stream.count
            }
            return code
        }
        return Int32(clamping: code ?? 0)
    }
}
