// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import Weft
import WeftConfig
import WeftControl

/// Looks names of endpoints up, on a thread of its own: an answer can take as long as it likes.
final class Resolver: Sendable {
    private struct State {
        var names: [PublicKey: EndpointName] = [:]
        var wanted: [PublicKey: EndpointName] = [:]
        var answers: [(peer: PublicKey, name: EndpointName, endpoint: Endpoint)] = []
        var notBefore: [PublicKey: Instant] = [:]
        var isRunning = false
        var isClosed = false
    }

    private let state = Mutex(State())
    /// Between two look-ups of one name.
    private static let interval = Duration.seconds(5)

    func setNames(_ names: [PublicKey: EndpointName]) {
        state.withLock { state in
            // Another name may be looked up at once.
            for (peer, name) in names where state.names[peer] != name { state.notBefore[peer] = nil }
            state.names = names
        }
    }

    /// Asks for the peers' names, as far as they have one and weren't looked up just now.
    func look(up peers: [PublicKey], at now: Instant) {
        let mustStart = state.withLock { state in
            for peer in peers {
                guard let name = state.names[peer], now >= state.notBefore[peer] ?? now else { continue }
                state.notBefore[peer] = now.advanced(by: Self.interval)
                state.wanted[peer] = name
            }
            guard !state.wanted.isEmpty, !state.isRunning, !state.isClosed else { return false }
            state.isRunning = true
            return true
        }
        // The thread ends when there is nothing to look up, and isn't waited for.
        if mustStart, (try? WorkerThread(name: "weft-names", { self.run() })) == nil {
            state.withLock { $0.isRunning = false }
        }
    }

    /// What was found of the names that peers have now: a reload may have come between question and answer.
    func takeAnswers() -> [(PublicKey, Endpoint)] {
        state.withLock { state in
            defer { state.answers.removeAll() }
            return state.answers.filter { state.names[$0.peer] == $0.name }.map { ($0.peer, $0.endpoint) }
        }
    }

    func close() {
        state.withLock { state in
            state.isClosed = true
            state.wanted.removeAll()
        }
    }

    private func run() {
        _ = pthread_detach(pthread_self())
        while true {
            let next = state.withLock { state -> (PublicKey, EndpointName)? in
                guard let (peer, name) = state.wanted.first else {
                    state.isRunning = false
                    return nil
                }
                state.wanted[peer] = nil
                return (peer, name)
            }
            guard let (peer, name) = next else { return }
            guard let endpoint = Self.endpoint(of: name) else { continue }
            state.withLock { $0.answers.append((peer, name, endpoint)) }
        }
    }

    /// The first address of a name, in the order that the system prefers (RFC 6724).
    private static func endpoint(of name: EndpointName) -> Endpoint? {
        var hints = unsafe addrinfo()
        unsafe hints.ai_family = AF_UNSPEC
        unsafe hints.ai_flags = AI_ADDRCONFIG
        var list: UnsafeMutablePointer<addrinfo>?
        guard unsafe getaddrinfo(name.host, nil, &hints, &list) == 0 else { return nil }
        defer { unsafe freeaddrinfo(list) }
        var entry = unsafe list
        while let current = unsafe entry {
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            // Safe: the list's own address and length; the text has the room that it's said to have.
            let code = unsafe getnameinfo(
                current.pointee.ai_addr, current.pointee.ai_addrlen, &text, socklen_t(text.count), nil, 0,
                NI_NUMERICHOST)
            let bytes = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            if code == 0, let address = IPAddress(String(decoding: bytes, as: UTF8.self)) {
                return Endpoint(address, port: name.port)
            }
            unsafe entry = unsafe current.pointee.ai_next
        }
        return nil
    }
}
