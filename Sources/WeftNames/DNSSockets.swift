// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft

/// Sockets to resolvers, for somebody who isn't trusted with them: few, each connected to a resolver that is known here, and
/// only so many questions a second. They bear a tunnel's mark, so that they go past it. One thread uses it.
public final class DNSSockets {
    /// At most so many sockets are open; one for each resolver does.
    public static let most = 2 * ResolverSettings.mostResolvers

    /// What became of a datagram.
    public enum Outcome: Hashable, Sendable {
        /// It was sent, or lost as any datagram may be.
        case done
        /// That resolver can't be asked now.
        case failed
        /// It is no question.
        case refused
    }

    private let mark: UInt32
    private let port: UInt16
    private var servers: [ResolverFile.Server] = []
    private var sockets: [UInt32: SharedDescriptor] = [:]
    private var streams: [UInt32: DNSStream] = [:]
    private var questions = Allowance(atOnce: DNSSockets.burst, perSecond: 200)
    private var buffer = [UInt8](repeating: 0, count: DNSQuestion.longestAnswer)

    /// Questions at once.
    static let burst = 1000
    /// At most so many answers are taken in one go.
    private static let mostAnswers = 64

    /// - Parameters:
    ///   - mark: SO_MARK, by which questions are routed; 0 for none. Any other needs CAP_NET_ADMIN.
    ///   - port: the resolvers'.
    public init(mark: UInt32 = 0, port: UInt16 = ResolverSettings.port) {
        self.mark = mark
        self.port = port
    }

    /// Sets who may be asked. Sockets to others go.
    public func setServers(_ servers: [ResolverFile.Server]) {
        guard servers != self.servers else { return }
        self.servers = servers
        closeAll()
    }

    /// Readable (POLLIN) when an answer waits.
    public var descriptors: [Int32] { sockets.values.map(\.raw) + streams.values.map(\.raw) }

    /// Sends a question to a resolver by the socket of that number, which is made if need be.
    public func send(
        _ bytes: [UInt8], by number: UInt32, to address: IPAddress, over transport: DNSTransport, at now: Instant
    ) -> Outcome {
        guard DNSQuestion.isOne(bytes) else { return .refused }
        guard let server = servers.first(where: { $0.address == address }) else { return .failed }
        guard questions.admits(at: now) else { return .done }
        if transport == .stream {
            guard let stream = streams[number] ?? openStream(number, to: server, at: now) else { return .failed }
            return stream.ask(bytes, at: now) ? .done : .failed
        }
        guard let socket = sockets[number] ?? open(number, to: server) else { return .failed }
        let sent = unsafe Glibc.send(socket.raw, bytes, bytes.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
        return sent >= 0 || errno == EAGAIN || errno == ENOBUFS ? .done : .failed
    }

    /// Closes a socket.
    public func close(_ number: UInt32) {
        sockets[number] = nil
        streams[number] = nil
    }

    public func closeAll() {
        sockets.removeAll()
        streams.removeAll()
    }

    /// Hands over the answers that wait, or nil for a socket that will bring none. Streams go on by it: call it every 50 ms.
    public func receive(at now: Instant, _ take: (_ number: UInt32, _ answer: [UInt8]?) -> Void) {
        for (number, stream) in streams where !stream.advance(at: now, { take(number, $0) }) {
            streams[number] = nil
            take(number, nil)
        }
        for (number, socket) in sockets {
            for _ in 0..<Self.mostAnswers {
                let count = unsafe buffer.withUnsafeMutableBytes { bytes in
                    // Safe: the kernel writes at most as many bytes as there are.
                    unsafe recv(socket.raw, bytes.baseAddress, bytes.count, Int32(MSG_DONTWAIT) | Int32(MSG_TRUNC))
                }
                if count > 0, count <= buffer.count { take(number, Array(buffer[..<count])) }
                guard count < 0 else { continue }
                if errno == EINTR { continue }
                // Nobody is there, says the other host, or there is no way any more.
                if errno != EAGAIN, errno != EWOULDBLOCK { take(number, nil) }
                break
            }
        }
    }

    private func open(_ number: UInt32, to server: ResolverFile.Server) -> SharedDescriptor? {
        guard hasRoom,
            let socket = Self.connected(to: Endpoint(server.address, port: port), zone: server.zone, mark: mark)
        else { return nil }
        let shared = SharedDescriptor(socket)
        sockets[number] = shared
        return shared
    }

    private func openStream(_ number: UInt32, to server: ResolverFile.Server, at now: Instant) -> DNSStream? {
        guard hasRoom,
            let socket = Self.connected(
                SOCK_STREAM, to: Endpoint(server.address, port: port), zone: server.zone, mark: mark)
        else { return nil }
        let stream = DNSStream(socket, at: now)
        streams[number] = stream
        return stream
    }

    private var hasRoom: Bool { sockets.count + streams.count < Self.most }

    /// A socket that is connected to an endpoint, or will be if it's a stream; nil where there is no way.
    static func connected(
        _ kind: __socket_type = SOCK_DGRAM, to endpoint: Endpoint, zone: String? = nil, mark: UInt32
    ) -> FileDescriptor? {
        let family = endpoint.address.family == .v4 ? AF_INET : AF_INET6
        let type = Int32(kind.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let raw = socket(family, type, 0)
        guard raw >= 0 else { return nil }
        let descriptor = FileDescriptor(owning: raw)
        if mark != 0 {
            var mark = mark
            let size = socklen_t(MemoryLayout<UInt32>.size)
            guard unsafe setsockopt(raw, SOL_SOCKET, SO_MARK, &mark, size) == 0 else { return nil }
        }
        guard connect(raw, endpoint, zone) == 0 || errno == EINPROGRESS else { return nil }
        return descriptor
    }

    private static func connect(_ raw: Int32, _ endpoint: Endpoint, _ zone: String?) -> Int32 {
        let bytes = endpoint.address.bytes
        if endpoint.address.family == .v4 {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = endpoint.port.bigEndian
            unsafe withUnsafeMutableBytes(of: &address.sin_addr) { unsafe $0.copyBytes(from: bytes) }
            return unsafe withUnsafePointer(to: address) { pointer in
                // Safe: the address is as long as is said, and lives for the call.
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe Glibc.connect(raw, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        }
        var address = sockaddr_in6()
        address.sin6_family = sa_family_t(AF_INET6)
        address.sin6_port = endpoint.port.bigEndian
        if let zone { address.sin6_scope_id = unsafe if_nametoindex(zone) }
        unsafe withUnsafeMutableBytes(of: &address.sin6_addr) { unsafe $0.copyBytes(from: bytes) }
        return unsafe withUnsafePointer(to: address) { pointer in
            // Safe: as above.
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe Glibc.connect(raw, $0, socklen_t(MemoryLayout<sockaddr_in6>.size))
            }
        }
    }
}
