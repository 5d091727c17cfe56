// SPDX-License-Identifier: Apache-2.0
import Foundation
import Synchronization

/// TCP streams into the world that live through all events: numbered bytes go there and must come back, in order.
final class SoakStream: Sendable {
    /// More than a packet holds.
    private static let chunk = 4096

    private struct State {
        var breaks: [String] = []
        var rounds = 0
        var lastRound = ContinuousClock.now
        var longestStall = Duration.zero
    }

    let address: String
    private let state = Mutex(State())
    private let isEnding = Atomic(false)
    private let listener: Socket

    init(from host: Host, to world: Host, at address: String) async throws {
        self.address = address
        let listener = try await world.inNetwork { try Socket.listening(at: address, port: 7000) }
        self.listener = listener
        Thread { [weak self] in
            while self?.isEnding.load(ordering: .relaxed) == false {
                // Ten seconds without a connection are no failure.
                guard let connection = try? listener.accept() else { continue }
                Thread { [weak self] in
                    while let self, !self.isEnding.load(ordering: .relaxed),
                        let bytes = try? self.receive(Self.chunk, from: connection)
                    {
                        guard (try? connection.send(bytes)) != nil else { return }
                    }
                }.start()
            }
        }.start()
        Task.detached { try? await host.inNetwork { self.run() } }
        try await eventually("a stream to \(address)", within: 60) { rounds > 3 }
    }

    /// How often a stream broke, and why.
    var breaks: [String] { state.withLock { $0.breaks } }
    /// Chunks that came back.
    var rounds: Int { state.withLock { $0.rounds } }
    var lastRound: ContinuousClock.Instant { state.withLock { $0.lastRound } }
    /// The longest time without one.
    var longestStall: Duration { state.withLock { max($0.longestStall, ContinuousClock.now - $0.lastRound) } }

    func end() { isEnding.store(true, ordering: .relaxed) }

    private var mayGoOn: Bool { !isEnding.load(ordering: .relaxed) }

    private func run() {
        while mayGoOn {
            do {
                let socket = try Socket.connected(SOCK_STREAM, to: address, port: 7000)
                try exchange(socket)
            } catch {
                if !mayGoOn { return }
                state.withLock { $0.breaks.append("\(error)") }
                Thread.sleep(forTimeInterval: 0.2)
            }
        }
    }

    private func exchange(_ socket: Socket) throws {
        var number = UInt8(0)
        while mayGoOn {
            let bytes = (0..<Self.chunk).map { UInt8(truncatingIfNeeded: $0) &+ number }
            try socket.send(bytes)
            guard let back = try receive(Self.chunk, from: socket) else { return }
            guard back == bytes else { throw TestFailure("other bytes came back than were sent") }
            state.withLock { state in
                let now = ContinuousClock.now
                state.longestStall = max(state.longestStall, now - state.lastRound)
                state.lastRound = now
                state.rounds += 1
            }
            number &+= 1
            Thread.sleep(forTimeInterval: 0.02)
        }
    }

    /// So many bytes, however long they take; nil if it ended meanwhile.
    private func receive(_ count: Int, from socket: Socket) throws -> [UInt8]? {
        var bytes: [UInt8] = []
        while bytes.count < count {
            guard mayGoOn else { return nil }
            guard let more = try socket.receiveSome(count - bytes.count) else { continue }
            if more.isEmpty { throw TestFailure("the stream was ended") }
            bytes += more
        }
        return bytes
    }
}
