// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Weft

/// A TCP connection of the kernel's.
final class KernelStream: OverlayStream {
    let socket: KernelSocket
    let localEndpoint: Endpoint
    let remoteEndpoint: Endpoint

    /// - Parameter socket: connected. One without a name, as a Unix socket, has endpoints of nobody's.
    init(_ socket: KernelSocket) {
        self.socket = socket
        socket.set(Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        localEndpoint = socket.localEndpoint
        remoteEndpoint = socket.remoteEndpoint
    }

    deinit { close() }

    func setDeadline(_ deadline: Instant?) { socket.setDeadline(deadline) }

    func read(atMost most: Int) async throws(OverlaySocketError) -> [UInt8] {
        let room = max(most, 1)
        var bytes = [UInt8](repeating: 0, count: room)
        while true {
            if socket.isClosed { throw .closed }
            let count = unsafe bytes.withUnsafeMutableBytes { unsafe recv(socket.raw, $0.baseAddress, $0.count, 0) }
            if count >= 0 {
                bytes.removeLast(room - count)
                return bytes
            }
            switch errno {
            case EINTR: continue
            case EAGAIN: try await socket.wait(.reading)
            case let code: throw OverlaySocketError(code: code)
            }
        }
    }

    func write(_ bytes: [UInt8]) async throws(OverlaySocketError) {
        var sent = 0
        while sent < bytes.count {
            let from = sent
            sent += try await socket.repeating(.writing) {
                // Safe: the bytes live as long as the call.
                unsafe bytes.withUnsafeBytes { bytes in
                    unsafe Glibc.send(
                        socket.raw, bytes.baseAddress.map { unsafe $0 + from }, bytes.count - from,
                        Int32(MSG_NOSIGNAL))
                }
            }
        }
    }

    func finish() throws(OverlaySocketError) {
        if socket.isClosed { throw .closed }
        guard shutdown(socket.raw, Int32(SHUT_WR)) == 0 || errno == ENOTCONN else {
            throw OverlaySocketError(code: errno)
        }
    }

    func close() { socket.close(resetting: false) }

    func abort() { socket.close(resetting: true) }
}

/// Takes connections of the kernel's.
final class KernelListener: OverlayListener {
    let socket: KernelSocket
    let localEndpoint: Endpoint

    init(_ socket: KernelSocket) {
        self.socket = socket
        localEndpoint = socket.localEndpoint
    }

    deinit { close() }

    func accept() async throws(OverlaySocketError) -> any OverlayStream {
        let raw = try await socket.repeating(.reading) {
            let raw = weft_accept(socket.raw)
            // Of a connection that has ended by now nobody wants to know.
            if raw < 0, errno == ECONNABORTED { errno = EINTR }
            return Int(raw)
        }
        return KernelStream(
            KernelSocket(SharedDescriptor(FileDescriptor(owning: Int32(raw))), socket.reactor))
    }

    func close() { socket.close(resetting: false) }
}
