// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Synchronization
import Weft

/// A socket of the kernel's that tasks wait for. Its descriptor is open as long as somebody has it, so that nobody uses another's.
final class KernelSocket: Sendable {
    let descriptor: SharedDescriptor
    let reactor: SocketReactor
    private let state = Mutex(State())

    private struct State {
        /// The waits under way, by direction.
        var tokens: [UInt64?] = [nil, nil]
        var deadline: Instant?
        var isClosed = false
    }

    init(_ descriptor: SharedDescriptor, _ reactor: SocketReactor) {
        self.descriptor = descriptor
        self.reactor = reactor
        let flags = fcntl(descriptor.raw, F_GETFL)
        if flags >= 0 { _ = fcntl(descriptor.raw, F_SETFL, flags | O_NONBLOCK) }
    }

    var raw: Int32 { descriptor.raw }

    /// Where it is bound; nobody's endpoint for one without a name, as a Unix socket.
    var localEndpoint: Endpoint { unsafe KernelAddress.ask { unsafe getsockname(raw, $0, $1) } ?? Self.nobody }
    /// Where it is connected to; nobody's endpoint as above.
    var remoteEndpoint: Endpoint { unsafe KernelAddress.ask { unsafe getpeername(raw, $0, $1) } ?? Self.nobody }
    private static let nobody = Endpoint(IPAddress(v4: 0), port: 0)

    var isClosed: Bool { state.withLock { $0.isClosed } }

    func setDeadline(_ deadline: Instant?) {
        let tokens = state.withLock { state in
            state.deadline = deadline
            return state.tokens
        }
        for token in tokens { if let token { reactor.setDeadline(deadline, of: token) } }
    }

    /// Waits until it is ready.
    func wait(_ direction: SocketReactor.Direction) async throws(OverlaySocketError) {
        let token = reactor.makeToken()
        let (refusal, deadline) = state.withLock { state -> (OverlaySocketError?, Instant?) in
            if state.isClosed { return (.closed, nil) }
            if state.tokens[direction.rawValue] != nil { return (.busy, nil) }
            state.tokens[direction.rawValue] = token
            return (nil, state.deadline)
        }
        if let refusal { throw refusal }
        defer { state.withLock { $0.tokens[direction.rawValue] = nil } }
        try await reactor.wait(token, for: raw, direction, until: deadline)
    }

    /// Calls what returns -1 until it doesn't say that it would have to wait.
    func repeating(
        _ direction: SocketReactor.Direction, _ call: () -> Int
    ) async throws(OverlaySocketError) -> Int {
        while true {
            if isClosed { throw .closed }
            let result = call()
            if result >= 0 { return result }
            switch errno {
            case EINTR: continue
            case EAGAIN: try await wait(direction)
            case let code: throw OverlaySocketError(code: code)
            }
        }
    }

    /// Ends all waits. What was written is still sent, unless it is to be reset.
    func close(resetting: Bool) {
        let tokens: [UInt64?]? = state.withLock { state in
            guard !state.isClosed else { return nil }
            state.isClosed = true
            return state.tokens
        }
        guard let tokens else { return }
        if resetting {
            // Takes effect when the last of its users has let go of it.
            var now = linger(l_onoff: 1, l_linger: 0)
            _ = unsafe setsockopt(raw, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
        } else {
            _ = shutdown(raw, Int32(SHUT_RDWR))
        }
        for token in tokens { if let token { reactor.end(token, .closed) } }
    }

    func set(_ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        _ = unsafe setsockopt(raw, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }
}
