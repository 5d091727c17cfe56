// SPDX-License-Identifier: Apache-2.0
import Foundation
import Synchronization

/// Tells a host over and over, in a router's name, that its datagrams from UDP port 6081 to ours are too long, as anybody can
/// who can guess a port.
final class ForgedICMP: Sendable {
    private static let interval = 0.1

    private let isEnding = Atomic(false)

    /// - Parameters:
    ///   - forger: where the messages come from.
    ///   - destination: whom they are for; the quoted datagram is from there.
    ///   - peer: where the quoted datagram goes to.
    ///   - mtu: what they say fits, in bytes.
    init(from forger: Host, to destination: String, quoting peer: String, mtu: UInt16) async throws {
        let message = Self.message(from: destination, to: peer, mtu: mtu)
        let isIPv6 = destination.contains(":")
        let raw = try await forger.inNetwork {
            let raw = socket(
                isIPv6 ? AF_INET6 : AF_INET, Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue),
                Int32(isIPv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
            guard raw >= 0 else { throw TestFailure("no raw socket: \(lastError)") }
            return raw
        }
        Thread { [weak self] in
            // A raw socket's address bears no port.
            while let self, !self.isEnding.load(ordering: .relaxed) {
                unsafe withSocketAddress(destination, 0) { name, length in
                    unsafe message.withUnsafeBytes {
                        _ = unsafe sendto(raw, $0.baseAddress, $0.count, 0, name, length)
                    }
                }
                Thread.sleep(forTimeInterval: Self.interval)
            }
            close(raw)
        }.start()
    }

    func end() { isEnding.store(true, ordering: .relaxed) }

    private static func message(from source: String, to destination: String, mtu: UInt16) -> [UInt8] {
        func words(_ values: UInt16...) -> [UInt8] {
            values.flatMap { [UInt8($0 >> 8), UInt8(truncatingIfNeeded: $0)] }
        }
        let udp = words(6081, 6081, 1400, 0)
        if source.contains(":") {
            // Packet too big (RFC 4443 section 3.2); the kernel sums it up.
            return [2, 0, 0, 0, 0, 0] + words(mtu) + [0x60, 0, 0, 0] + words(1400) + [17, 64]
                + bytes(source, AF_INET6, 16) + bytes(destination, AF_INET6, 16) + udp
        }
        // Fragmentation needed and DF set (RFC 1191 section 4).
        var quoted = [0x45, 0] + words(1420, 0x1234, 0x4000) + [64, 17, 0, 0]
        quoted += bytes(source, AF_INET, 4) + bytes(destination, AF_INET, 4)
        var message = [3, 4, 0, 0, 0, 0] + words(mtu) + quoted + udp
        var sum = stride(from: 0, to: message.count, by: 2).reduce(UInt32(0)) {
            $0 + UInt32(message[$1]) << 8 + UInt32(message[$1 + 1])
        }
        while sum >> 16 != 0 { sum = sum & 0xFFFF + sum >> 16 }
        message.replaceSubrange(2...3, with: words(~UInt16(sum)))
        return message
    }

    private static func bytes(_ address: String, _ family: Int32, _ count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        _ = unsafe inet_pton(family, address, &bytes)
        return bytes
    }
}
