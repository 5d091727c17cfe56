// SPDX-License-Identifier: Apache-2.0
import Foundation
import Weft

/// A resolver's other half, which answers by TCP at the same port.
package final class DNSStreamServer: Sendable {
    private let server: DNSServer
    private let descriptor: FileDescriptor

    package init(_ server: DNSServer) throws {
        self.server = server
        let raw = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        descriptor = FileDescriptor(owning: raw)
        Self.limitWaits(of: raw)
        var own = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = unsafe withUnsafeMutablePointer(to: &own) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe getsockname(server.raw, $0, &size) == 0 ? bind(raw, $0, size) : -1
            }
        }
        guard status == 0, listen(raw, 8) == 0 else { throw TransportError("be a resolver by TCP", code: errno) }
    }

    private static func limitWaits(of raw: Int32) {
        var patience = timeval(tv_sec: 0, tv_usec: 20_000)
        _ = unsafe setsockopt(raw, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    }

    /// Answers until the server is closed, in the caller's thread, one connection after the other.
    package func run() {
        while !server.isClosed {
            let raw = accept(descriptor.raw, nil, nil)
            guard raw >= 0 else { continue }
            serve(FileDescriptor(owning: raw))
        }
    }

    private func serve(_ connection: consuming FileDescriptor) {
        Self.limitWaits(of: connection.raw)
        var bytes: [UInt8] = []
        while !server.isClosed {
            var chunk = [UInt8](repeating: 0, count: 2048)
            let count = unsafe recv(connection.raw, &chunk, chunk.count, 0)
            if count == 0 || count < 0 && errno != EAGAIN { return }
            bytes += chunk.prefix(max(count, 0))
            while bytes.count >= 2, bytes.count >= 2 + Int(bytes[0]) << 8 + Int(bytes[1]) {
                let length = Int(bytes[0]) << 8 + Int(bytes[1])
                let question = Array(bytes[2..<2 + length])
                bytes.removeFirst(2 + length)
                guard let answer = server.answer(question, isStream: true) else { continue }
                let whole = [UInt8(answer.count >> 8), UInt8(answer.count & 255)] + answer
                // In two pieces, as the network may have it.
                for part in [whole.prefix(1), whole.dropFirst()] {
                    let part = Array(part)
                    _ = unsafe send(connection.raw, part, part.count, Int32(MSG_NOSIGNAL))
                }
            }
        }
    }
}
