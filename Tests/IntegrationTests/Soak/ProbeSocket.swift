// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Asks for echoes, by ICMP or UDP, with a number in each; a socket without a connection, so that each question takes the way of its moment.
final class ProbeSocket: Sendable {
    private let descriptor: Int32
    private let address: String
    private let port: UInt16
    private let echoType: UInt8?
    private let length: Int

    /// - Parameters:
    ///   - echoType: of an ICMP echo request, or nil for UDP.
    ///   - length: bytes of a question; at least 8.
    init(to address: String, port: UInt16, echoType: UInt8?, length: Int) throws {
        self.address = address
        self.port = port
        self.echoType = echoType
        self.length = length
        let isIPv6 = address.contains(":")
        let transport = echoType == nil ? IPPROTO_UDP : isIPv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP
        descriptor = socket(
            isIPv6 ? AF_INET6 : AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), Int32(transport))
        guard descriptor >= 0 else { throw TestFailure("no socket to ask \(address): \(lastError)") }
    }

    deinit { close(descriptor) }

    /// What the kernel refuses is lost.
    func send(_ number: UInt64) {
        // The kernel fills in checksum and identifier.
        let header: [UInt8] = echoType.map { [$0, 0, 0, 0, 0, 0, 0, 0] } ?? []
        let bytes = header + (0..<length).map { $0 < 8 ? UInt8(truncatingIfNeeded: number >> ($0 * 8)) : 0 }
        unsafe withSocketAddress(address, port) { name, length in
            unsafe bytes.withUnsafeBytes { _ = unsafe sendto(descriptor, $0.baseAddress, $0.count, 0, name, length) }
        }
    }

    /// The number of an answer; nil if none comes in time.
    func receive(within time: Duration) -> UInt64? {
        var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard unsafe poll(&waiting, 1, Int32(max(1, time / .milliseconds(1)))) > 0 else { return nil }
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = unsafe bytes.withUnsafeMutableBytes { unsafe recv(descriptor, $0.baseAddress, $0.count, 0) }
        let start = echoType == nil ? 0 : 8
        guard count >= start + 8 else { return nil }
        return (0..<8).reduce(0) { $0 | UInt64(bytes[start + $1]) << ($1 * 8) }
    }
}

/// Sends datagrams back to where they came from, until it's ended.
final class DatagramEcho: Sendable {
    private let descriptor: Int32

    /// Made in the network of the calling thread.
    init(at address: String, port: UInt16) throws {
        let descriptor = socket(
            address.contains(":") ? AF_INET6 : AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        self.descriptor = descriptor
        guard descriptor >= 0, unsafe withSocketAddress(address, port, { unsafe bind(descriptor, $0, $1) }) == 0 else {
            throw TestFailure("cannot listen at \(address): \(lastError)")
        }
        Thread { [weak self] in
            while let self, self.answer() {}
        }.start()
    }

    deinit { close(descriptor) }

    func end() { shutdown(descriptor, Int32(SHUT_RDWR)) }

    /// False once it has ended.
    private func answer() -> Bool {
        var bytes = [UInt8](repeating: 0, count: 2048)
        var source = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return unsafe withUnsafeMutablePointer(to: &source) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { name in
                let count = unsafe recvfrom(descriptor, &bytes, bytes.count, 0, name, &length)
                if count < 0 { return errno == EINTR || errno == EAGAIN || errno == ECONNREFUSED }
                // The end of the socket reads as a datagram from nobody.
                if length == 0 { return false }
                _ = unsafe sendto(descriptor, bytes, count, 0, name, length)
                return true
            }
        }
    }
}

/// A numeric address and a port as the kernel wants them.
func withSocketAddress<Result>(
    _ address: String, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
) -> Result {
    var four = sockaddr_in()
    if unsafe inet_pton(AF_INET, address, &four.sin_addr) == 1 {
        four.sin_family = sa_family_t(AF_INET)
        four.sin_port = port.bigEndian
        return unsafe withUnsafePointer(to: &four) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
    var six = sockaddr_in6()
    _ = unsafe inet_pton(AF_INET6, address, &six.sin6_addr)
    six.sin6_family = sa_family_t(AF_INET6)
    six.sin6_port = port.bigEndian
    return unsafe withUnsafePointer(to: &six) {
        unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            unsafe body($0, socklen_t(MemoryLayout<sockaddr_in6>.size))
        }
    }
}
