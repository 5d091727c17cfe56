// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A socket that closes with its last reference, and that never waits longer than ten seconds.
final class Socket: Sendable {
    private let descriptor: Int32

    private init(taking descriptor: Int32) throws {
        guard descriptor >= 0 else { throw TestFailure("no socket: \(lastError)") }
        self.descriptor = descriptor
        var patience = timeval(tv_sec: 10, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            unsafe setsockopt(descriptor, SOL_SOCKET, option, &patience, socklen_t(MemoryLayout<timeval>.size))
        }
    }

    deinit { close(descriptor) }

    /// Makes a socket and hands it to `use` with a numeric address.
    private static func make(
        _ type: __socket_type, _ address: String, _ port: Int,
        _ use: (Int32, UnsafeMutablePointer<sockaddr>, socklen_t) -> Int32
    ) throws -> Socket {
        var hints = unsafe addrinfo()
        unsafe hints.ai_flags = AI_NUMERICHOST
        unsafe hints.ai_socktype = Int32(type.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        guard unsafe getaddrinfo(address, "\(port)", &hints, &found) == 0, let info = unsafe found?.pointee,
            let name = unsafe info.ai_addr
        else { throw TestFailure("no address: \(address)") }
        defer { unsafe freeaddrinfo(found) }
        let made = try Socket(
            taking: unsafe socket(info.ai_family, info.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), 0))
        guard unsafe use(made.descriptor, name, info.ai_addrlen) == 0 else {
            throw TestFailure("\(address), port \(port): \(lastError)")
        }
        return made
    }

    static func connected(_ type: __socket_type, to address: String, port: Int) throws -> Socket {
        unsafe try make(type, address, port) { unsafe connect($0, $1, $2) }
    }

    static func bound(_ type: __socket_type, to address: String, port: Int) throws -> Socket {
        unsafe try make(type, address, port) { unsafe bind($0, $1, $2) }
    }

    static func listening(at address: String, port: Int) throws -> Socket {
        let socket = try bound(SOCK_STREAM, to: address, port: port)
        guard listen(socket.descriptor, 4) == 0 else { throw TestFailure("cannot listen: \(lastError)") }
        return socket
    }

    func accept() throws -> Socket {
        try Socket(taking: Glibc.accept(descriptor, nil, nil))
    }

    /// Sends one datagram, or all bytes of a stream.
    func send(_ bytes: [UInt8]) throws {
        var sent = 0
        repeat {
            let count = unsafe bytes.withUnsafeBytes {
                unsafe Glibc.send(
                    descriptor, $0.baseAddress.map { unsafe $0 + sent }, $0.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count >= 0 else { throw TestFailure("cannot send \(bytes.count) bytes: \(lastError)") }
            sent += count
        } while sent < bytes.count
    }

    /// Ends our half of a stream.
    func endSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// What of a stream has come, at most `count` bytes; none at its end, nil if nothing comes.
    func receiveSome(_ count: Int) throws -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        let received = unsafe bytes.withUnsafeMutableBytes { unsafe recv(descriptor, $0.baseAddress, $0.count, 0) }
        guard received >= 0 else {
            if errno == EAGAIN { return nil }
            throw TestFailure("no more of the stream: \(lastError)")
        }
        return Array(bytes.prefix(received))
    }

    /// The bytes of a stream until its end.
    func receiveAll() throws -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = unsafe chunk.withUnsafeMutableBytes { unsafe recv(descriptor, $0.baseAddress, $0.count, 0) }
            guard count >= 0 else { throw TestFailure("stopped after \(bytes.count) bytes: \(lastError)") }
            guard count > 0 else { return bytes }
            bytes += chunk[..<count]
        }
    }
}

extension Host {
    /// Sends bytes over TCP to an address of another host, which sends them back; gives what came back.
    func echo(_ bytes: [UInt8], by other: Host, at address: String, port: Int = 7000) async throws -> [UInt8] {
        let listener = try await other.inNetwork { try Socket.listening(at: address, port: port) }
        async let server: Void = other.inNetwork {
            let connection = try listener.accept()
            try connection.send(connection.receiveAll())
        }
        let back = try await inNetwork {
            let connection = try Socket.connected(SOCK_STREAM, to: address, port: port)
            try connection.send(bytes)
            connection.endSending()
            return try connection.receiveAll()
        }
        try await server
        return back
    }

    /// Sends datagrams to an address and port.
    func send(_ datagrams: [[UInt8]], to address: String, port: Int = 6081) async throws {
        try await inNetwork {
            let socket = try Socket.connected(SOCK_DGRAM, to: address, port: port)
            for datagram in datagrams { try socket.send(datagram) }
        }
    }
}
