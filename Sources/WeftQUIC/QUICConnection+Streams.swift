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
    func open(_ message: [UInt8]) -> StreamID? {
        guard isEstablished else { return nil }
        return unsafe withConnection { connection in
            var stream: Int64 = -1
            guard unsafe ngtcp2_conn_open_bidi_stream(connection, &stream, nil) == 0 else { return nil }
            outgoing[stream] = OutgoingStream(message)
            return StreamID(rawValue: stream)
        }
    }

    func answer(_ message: [UInt8], on stream: StreamID) {
        guard isEstablished, isOpen, outgoing[stream.rawValue] == nil else { return }
        outgoing[stream.rawValue] = OutgoingStream(message)
    }

    func abandon(_ stream: StreamID) {
        _ = unsafe withConnection { connection in
            unsafe ngtcp2_conn_shutdown_stream(connection, stream.rawValue, 1)
        }
    }

    /// Hands all that is to be sent now to `send`.
    func flush(
        into buffer: inout [UInt8], over path: NetworkPath, now: Instant, _ send: (Span<UInt8>, Endpoint) -> Void
    ) {
        if case .over(let farewell, _) = state {
            if farewellIsDue, let farewellTarget { send(farewell.span, farewellTarget) }
            farewellIsDue = false
            return
        }
        var blocked: Set<Int64> = []
        // A bound, should ngtcp2 never be done; what is left goes with the next call.
        for _ in 0..<256 {
            let next = outgoing.first { !$0.value.hasEnded && !blocked.contains($0.key) }
            let written = write(next, into: &buffer, over: path, now)
            if written.code == NGTCP2_ERR_STREAM_DATA_BLOCKED {
                blocked.insert(next?.key ?? -1)
                continue
            }
            if written.code == NGTCP2_ERR_STREAM_SHUT_WR || written.code == NGTCP2_ERR_STREAM_NOT_FOUND {
                next?.value.hasEnded = true
                if let next, written.code == NGTCP2_ERR_STREAM_NOT_FOUND { outgoing[next.key] = nil }
                continue
            }
            guard written.code >= 0 else {
                fail(writing: written.code, now)
                return flush(into: &buffer, over: path, now: now, send)
            }
            guard written.code > 0 else { return }
            if let target = path.remote { send(buffer.span.extracting(first: Int(written.code)), target) }
        }
    }

    private func write(
        _ next: (key: Int64, value: OutgoingStream)?, into buffer: inout [UInt8], over path: NetworkPath, _ now: Instant
    ) -> (code: Int32, taken: Int) {
        path.clear()
        var taken: ngtcp2_ssize = -1
        let code = unsafe withConnection { connection -> Int? in
            unsafe buffer.withUnsafeMutableBufferPointer { buffer in
                guard let next else {
                    return unsafe ngtcp2_conn_writev_stream_versioned(
                        connection, path.pointer, NGTCP2_PKT_INFO_VERSION_V1, nil, buffer.baseAddress, buffer.count,
                        nil, 0, -1, nil, 0, now.nanoseconds)
                }
                var vector = unsafe next.value.rest
                return unsafe ngtcp2_conn_writev_stream_versioned(
                    connection, path.pointer, NGTCP2_PKT_INFO_VERSION_V1, nil, buffer.baseAddress, buffer.count,
                    &taken, UInt32(NGTCP2_WRITE_STREAM_FLAG_FIN), next.key, &vector, 1, now.nanoseconds)
            }
        }
        if taken >= 0, let next {
            next.value.taken += taken
            next.value.hasEnded = next.value.taken == next.value.count
        }
        return (Int32(clamping: code ?? 0), taken)
    }
}
