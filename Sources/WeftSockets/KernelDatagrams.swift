// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft

/// A UDP socket of the kernel's.
final class KernelDatagrams: OverlayDatagrams {
    private let socket: KernelSocket
    let localEndpoint: Endpoint

    init(_ socket: KernelSocket) {
        self.socket = socket
        localEndpoint = socket.localEndpoint
    }

    deinit { close() }

    func setDeadline(_ deadline: Instant?) { socket.setDeadline(deadline) }

    func receive(atMost most: Int) async throws(OverlaySocketError) -> [OverlayDatagram] {
        var datagrams: [OverlayDatagram] = []
        var room = [UInt8](repeating: 0, count: 65536)
        while true {
            while datagrams.count < min(max(most, 1), 64), let next = try one(by: &room) { datagrams.append(next) }
            if !datagrams.isEmpty { return datagrams }
            try await socket.wait(.reading)
        }
    }

    /// What has come; nil for nothing.
    private func one(by room: inout [UInt8]) throws(OverlaySocketError) -> OverlayDatagram? {
        while true {
            if socket.isClosed { throw .closed }
            var count = -1
            let endpoint = unsafe KernelAddress.ask { address, length in
                count = unsafe room.withUnsafeMutableBytes {
                    unsafe recvfrom(socket.raw, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT), address, length)
                }
                return count >= 0 ? 0 : -1
            }
            guard count >= 0 else {
                if errno == EAGAIN { return nil }
                // What an ICMP message said of an earlier datagram is nobody's end.
                guard [EINTR, ECONNREFUSED, EHOSTUNREACH, ENETUNREACH].contains(errno) else {
                    throw OverlaySocketError(code: errno)
                }
                continue
            }
            guard let endpoint else { continue }
            return OverlayDatagram(Array(room.prefix(count)), with: endpoint)
        }
    }

    func send(_ datagram: OverlayDatagram) async throws(OverlaySocketError) {
        let address = KernelAddress.bytes(of: datagram.endpoint)
        _ = try await socket.repeating(.writing) {
            // Safe: both live as long as the call.
            unsafe datagram.payload.withUnsafeBytes { bytes in
                unsafe KernelAddress.with(address) {
                    unsafe sendto(socket.raw, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL), $0, $1)
                } ?? -1
            }
        }
    }

    func close() { socket.close(resetting: false) }
}
