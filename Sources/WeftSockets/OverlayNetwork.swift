// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft

/// The overlay as a program's sockets see it: what a tunnel without root gives to whoever dials through it or serves on it.
///
/// Each way of carrying an overlay without root is one implementation: the kernel's own sockets in a private network namespace, or
/// a stack in this process. All of it may be called from any thread and any task.
///
/// **Waiting.** What waits is `async` and blocks no thread. It ends with ``OverlaySocketError/cancelled`` when its task is cancelled,
/// with ``OverlaySocketError/timedOut`` when its deadline passes, and with ``OverlaySocketError/closed`` when somebody closes what it
/// waits for. None of the first two closes anything: the socket is as it was, but for bytes that a write had handed over by then.
///
/// **Ownership.** Who gets a stream, a listener or a datagram socket closes it; one that is let go of closes itself. ``close()`` of the
/// network closes all that came from it.
public protocol OverlayNetwork: AnyObject, Sendable {
    /// The overlay's own addresses, in the tunnel's order.
    var addresses: [IPAddress] { get }

    /// The overlay's resolvers, in the order in which they are asked; empty where names are not to be looked up.
    var resolvers: [IPAddress] { get }

    /// Opens a TCP connection.
    /// - Parameter deadline: when it is given up; nil leaves that to the stack, which takes minutes.
    func connect(to endpoint: Endpoint, deadline: Instant?) async throws(OverlaySocketError) -> any OverlayStream

    /// Takes TCP connections.
    /// - Parameters:
    ///   - endpoint: one of ``addresses``, or the unspecified one of a family for all of them; port 0 lets the stack choose.
    ///   - backlog: how many may wait to be accepted, 1...4096. What comes while they wait is not answered, so that its sender tries
    ///     again.
    func listen(on endpoint: Endpoint, backlog: Int) throws(OverlaySocketError) -> any OverlayListener

    /// Opens a UDP socket.
    /// - Parameter endpoint: as for ``listen(on:backlog:)``.
    func openDatagrams(on endpoint: Endpoint) throws(OverlaySocketError) -> any OverlayDatagrams

    /// Sends an ICMP echo request and waits for its answer.
    /// - Parameters:
    ///   - bytes: of payload, 0...1400.
    ///   - deadline: when it is given up.
    /// - Returns: the round trip.
    func ping(_ address: IPAddress, bytes: Int, deadline: Instant) async throws(OverlaySocketError) -> Duration

    /// Closes all that came from it; nothing new can be opened then. Twice is harmless.
    func close()
}

extension OverlayNetwork {
    /// Opens a TCP connection, and leaves it to the stack when to give up.
    public func connect(to endpoint: Endpoint) async throws(OverlaySocketError) -> any OverlayStream {
        try await connect(to: endpoint, deadline: nil)
    }

    /// Takes TCP connections, 128 of which may wait.
    public func listen(on endpoint: Endpoint) throws(OverlaySocketError) -> any OverlayListener {
        try listen(on: endpoint, backlog: 128)
    }
}

/// A TCP connection. One task may read while another writes; two that do the same at a time get ``OverlaySocketError/busy``.
///
/// **Back-pressure.** What isn't read stays in the stack, whose window then closes; what can't be sent makes `write` wait. Nothing is
/// buffered beside the stack's own buffers.
public protocol OverlayStream: AnyObject, Sendable {
    /// Ours.
    var localEndpoint: Endpoint { get }
    /// The other end's.
    var remoteEndpoint: Endpoint { get }

    /// Until when what waits, now or later, may take; nil for ever, which it is at first. One that has passed ends every wait at once
    /// until another is set.
    func setDeadline(_ deadline: Instant?)

    /// Waits until there are bytes, and takes as many as there are.
    /// - Parameter most: at least 1. What is asked for at once bounds what a call costs; 256 KiB is a good choice for bulk.
    /// - Returns: 1 to `most` bytes; none once the other end has finished sending, and then always.
    func read(atMost most: Int) async throws(OverlaySocketError) -> [UInt8]

    /// Hands all of the bytes to the stack, and waits while that has no room. They leave without delay (no Nagle).
    func write(_ bytes: [UInt8]) async throws(OverlaySocketError)

    /// Sends no more: the other end reads to the end of what was written, then none. Reading goes on (half-close). Twice is harmless.
    func finish() throws(OverlaySocketError)

    /// Gives it back. What was written is still sent; what wasn't read resets the connection, as ever in TCP. Twice is harmless.
    func close()

    /// Resets it: what was written may be lost, and the other end sees a reset. Twice is harmless.
    func abort()
}

extension OverlayStream {
    /// Bytes that one read of bulk takes.
    public static var bulk: Int { 256 << 10 }

    /// Waits until there are bytes, and takes at most 256 KiB.
    public func read() async throws(OverlaySocketError) -> [UInt8] { try await read(atMost: Self.bulk) }
}

/// Takes TCP connections.
public protocol OverlayListener: AnyObject, Sendable {
    /// Where it listens, with the port that the stack chose.
    var localEndpoint: Endpoint { get }

    /// Waits for the next connection. Several tasks may wait; each connection goes to one of them. A connection that ended while it
    /// waited is not given out.
    func accept() async throws(OverlaySocketError) -> any OverlayStream

    /// Takes no more; those that wait are reset, those that were given out go on. Twice is harmless.
    func close()
}

/// A datagram and the other end that it goes to or came from.
public struct OverlayDatagram: Hashable, Sendable {
    /// The other end.
    public var endpoint: Endpoint
    /// 0...65507 bytes.
    public var payload: [UInt8]

    public init(_ payload: [UInt8], with endpoint: Endpoint) {
        self.payload = payload
        self.endpoint = endpoint
    }
}

/// A UDP socket. One task may receive while another sends.
public protocol OverlayDatagrams: AnyObject, Sendable {
    /// Ours, with the port that the stack chose.
    var localEndpoint: Endpoint { get }

    /// Until when what waits may take, as ``OverlayStream/setDeadline(_:)``.
    func setDeadline(_ deadline: Instant?)

    /// Waits for datagrams, and takes those that are there. What the stack has no room for is lost, as ever in UDP.
    /// - Parameter most: 1...64.
    /// - Returns: 1 to `most` of them, in the order in which they came.
    func receive(atMost most: Int) async throws(OverlaySocketError) -> [OverlayDatagram]

    /// Sends a datagram; waits while the stack has no room for it.
    func send(_ datagram: OverlayDatagram) async throws(OverlaySocketError)

    /// Gives it back. Twice is harmless.
    func close()
}

/// Why a socket of the overlay couldn't do what it should.
public enum OverlaySocketError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The task was cancelled.
    case cancelled
    /// The deadline passed, or the stack gave up.
    case timedOut
    /// Somebody closed the socket, or the network.
    case closed
    /// Another task does the same at this moment.
    case busy
    /// Nothing listens there.
    case refused
    /// The other end reset the connection, or it broke.
    case reset
    /// No route leads there, or it was said to be out of reach.
    case unreachable
    /// The local endpoint is taken.
    case inUse
    /// The local address isn't one of the overlay's.
    case notLocal
    /// A datagram is longer than can be sent.
    case tooLong
    /// No memory, descriptor or port is left.
    case exhausted
    /// The name has no address; what the resolver said, in words.
    case noSuchName(String)
    /// Anything else, with its `errno`.
    case system(Int32)

    public var description: String {
        switch self {
        case .cancelled: "cancelled"
        case .timedOut: "no answer in time"
        case .closed: "the socket is closed"
        case .busy: "another task is at it"
        case .refused: "connection refused"
        case .reset: "the connection was reset"
        case .unreachable: "no way leads there: is it in a peer's AllowedIPs?"
        case .inUse: "that port is in use"
        case .notLocal: "that address isn't one of the overlay's own"
        case .tooLong: "the datagram is too long"
        case .exhausted: "too many sockets are open"
        case .noSuchName(let why): why
        case .system(let code): SystemCall.message(code)
        }
    }

    /// What a failed system call stands for.
    public init(code: Int32) {
        self =
            switch code {
            case ECANCELED: .cancelled
            case ETIMEDOUT: .timedOut
            case EBADF, ESHUTDOWN: .closed
            case ECONNREFUSED: .refused
            case ECONNRESET, EPIPE, ENOTCONN: .reset
            case ENETUNREACH, EHOSTUNREACH, EHOSTDOWN, ENETDOWN: .unreachable
            case EADDRINUSE: .inUse
            case EADDRNOTAVAIL: .notLocal
            case EMSGSIZE: .tooLong
            case EMFILE, ENFILE, ENOMEM, ENOBUFS: .exhausted
            default: .system(code)
            }
    }
}
