// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Synchronization
import Weft

/// Opens sockets of the kernel's in some network.
public protocol SocketMaker: AnyObject, Sendable {
    /// Opens a socket.
    /// - Parameter address: what it is bound to, as the kernel wants it; nothing leaves that open.
    func openSocket(
        _ domain: Int32, _ type: Int32, _ number: Int32, boundTo address: [UInt8]
    ) throws(TransportError) -> SharedDescriptor
}

/// A network as its kernel has it, by sockets that a maker opens in it.
///
/// What waits on it is woken by a reactor, which must run for as long as anything waits.
public final class KernelNetwork: OverlayNetwork {
    public let addresses: [IPAddress]
    public let resolvers: [IPAddress]
    private let maker: any SocketMaker
    let reactor: SocketReactor
    private let opened = Mutex(Opened())

    private struct Opened {
        struct Entry {
            weak var socket: KernelSocket?
        }

        var entries: [ObjectIdentifier: Entry] = [:]
        var isClosed = false
    }

    /// - Parameters:
    ///   - addresses: its own.
    ///   - resolvers: who is asked for names in it.
    public init(_ maker: any SocketMaker, addresses: [IPAddress], resolvers: [IPAddress], on reactor: SocketReactor) {
        (self.maker, self.addresses, self.resolvers, self.reactor) = (maker, addresses, resolvers, reactor)
    }

    func open(
        _ domain: Int32, _ type: Int32, _ number: Int32 = 0, boundTo address: [UInt8] = []
    ) throws(OverlaySocketError) -> KernelSocket {
        let descriptor: SharedDescriptor
        do throws(TransportError) {
            descriptor = try maker.openSocket(domain, type, number, boundTo: address)
        } catch {
            throw OverlaySocketError(code: error.code)
        }
        let socket = KernelSocket(descriptor, reactor)
        let isClosed = opened.withLock { opened in
            // Those that are gone leave an entry behind, now and then looked for.
            if opened.entries.count & 0xFF == 0xFF { opened.entries = opened.entries.filter { $0.value.socket != nil } }
            opened.entries[ObjectIdentifier(socket)] = .init(socket: socket)
            return opened.isClosed
        }
        if isClosed { throw .closed }
        return socket
    }

    public func connect(
        to endpoint: Endpoint, deadline: Instant?
    ) async throws(OverlaySocketError) -> any OverlayStream {
        let socket = try open(KernelAddress.family(of: endpoint), Int32(SOCK_STREAM.rawValue))
        return KernelStream(try await connect(socket, to: KernelAddress.bytes(of: endpoint), deadline))
    }

    /// Connects a socket, to whatever its family calls an address.
    func connect(
        _ socket: KernelSocket, to address: [UInt8], _ deadline: Instant?
    ) async throws(OverlaySocketError) -> KernelSocket {
        let raw = socket.raw
        let code =
            unsafe KernelAddress.with(address) { unsafe Glibc.connect(raw, $0, $1) == 0 ? 0 : errno } ?? EINVAL
        guard code != 0 else { return socket }
        guard code == EINPROGRESS || code == EINTR || code == EAGAIN else { throw OverlaySocketError(code: code) }
        socket.setDeadline(deadline)
        try await socket.wait(.writing)
        var failure: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        _ = unsafe getsockopt(raw, SOL_SOCKET, SO_ERROR, &failure, &size)
        guard failure == 0 else { throw OverlaySocketError(code: failure) }
        socket.setDeadline(nil)
        return socket
    }

    public func listen(on endpoint: Endpoint, backlog: Int) throws(OverlaySocketError) -> any OverlayListener {
        let socket = try open(
            KernelAddress.family(of: endpoint), Int32(SOCK_STREAM.rawValue),
            boundTo: KernelAddress.bytes(of: endpoint))
        guard Glibc.listen(socket.raw, Int32(clamping: min(max(backlog, 1), 4096))) == 0 else {
            throw OverlaySocketError(code: errno)
        }
        return KernelListener(socket)
    }

    public func openDatagrams(on endpoint: Endpoint) throws(OverlaySocketError) -> any OverlayDatagrams {
        KernelDatagrams(
            try open(
                KernelAddress.family(of: endpoint), Int32(SOCK_DGRAM.rawValue),
                boundTo: KernelAddress.bytes(of: endpoint)))
    }

    public func ping(
        _ address: IPAddress, bytes: Int, deadline: Instant
    ) async throws(OverlaySocketError) -> Duration {
        let isV4 = address.family == .v4
        let socket = try open(
            isV4 ? AF_INET : AF_INET6, Int32(SOCK_DGRAM.rawValue),
            isV4 ? Int32(IPPROTO_ICMP) : Int32(IPPROTO_ICMPV6))
        let datagrams = KernelDatagrams(socket)
        datagrams.setDeadline(deadline)
        // RFC 792 and RFC 4443: type, code, checksum and identifier, which the kernel writes, and a number.
        let request: [UInt8] =
            [isV4 ? 8 : 128, 0, 0, 0, 0, 0, 0, 1] + [UInt8](repeating: 0, count: min(max(bytes, 0), 1400))
        let start = SystemCall.now()
        try await datagrams.send(OverlayDatagram(request, with: Endpoint(address, port: 0)))
        while true {
            for answer in try await datagrams.receive(atMost: 8)
            where answer.payload.first == (isV4 ? 0 : 129) && answer.endpoint.address == address {
                return .nanoseconds(SystemCall.now().nanoseconds - start.nanoseconds)
            }
        }
    }

    public func close() {
        let sockets = opened.withLock { opened in
            opened.isClosed = true
            return opened.entries.values.compactMap(\.socket)
        }
        for socket in sockets { socket.close(resetting: false) }
    }
}

/// Opens sockets in the host's network.
public final class HostSockets: SocketMaker {
    public init() {}

    public func openSocket(
        _ domain: Int32, _ type: Int32, _ number: Int32, boundTo address: [UInt8]
    ) throws(TransportError) -> SharedDescriptor {
        let raw = try SystemCall.retrying("open a socket") {
            socket(domain, type | Int32(SOCK_CLOEXEC.rawValue), number)
        }
        let made = SharedDescriptor(FileDescriptor(owning: raw))
        guard !address.isEmpty else { return made }
        var one: Int32 = 1
        if domain != AF_UNIX {
            _ = unsafe setsockopt(raw, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        }
        let code = unsafe KernelAddress.with(address) { unsafe bind(raw, $0, $1) == 0 ? 0 : errno } ?? EINVAL
        guard code == 0 else { throw TransportError("bind a socket", code: code) }
        return made
    }
}

extension KernelNetwork {
    /// Listens at a path, for this user's processes alone. Whatever socket lies there is replaced.
    public func listen(atPath path: String) throws(OverlaySocketError) -> any OverlayListener {
        var status = stat()
        if unsafe lstat(path, &status) == 0 {
            guard status.st_mode & S_IFMT == S_IFSOCK else { throw .inUse }
            _ = unsafe unlink(path)
        }
        let family = UInt16(AF_UNIX)
        let address =
            [UInt8(truncatingIfNeeded: family), UInt8(truncatingIfNeeded: family >> 8)] + Array(path.utf8) + [0]
        let mask = umask(0o177)
        defer { umask(mask) }
        let socket = try open(AF_UNIX, Int32(SOCK_STREAM.rawValue), boundTo: address)
        guard Glibc.listen(socket.raw, 128) == 0 else { throw OverlaySocketError(code: errno) }
        return KernelListener(socket)
    }
}
