// SPDX-License-Identifier: Apache-2.0
import Synchronization
import Testing
import Weft

@testable import WeftSockets

/// The loopback interface as if it were an overlay.
final class Loopback: Sendable {
    let network: KernelNetwork
    private let reactor: SocketReactor
    private let thread: Mutex<WorkerThread?>

    init() throws {
        let reactor = try SocketReactor()
        self.reactor = reactor
        network = KernelNetwork(
            HostSockets(), addresses: [IPAddress(v4: 0x7F00_0001)], resolvers: [], on: reactor)
        thread = Mutex(try WorkerThread(name: "test-reactor") { reactor.run() })
    }

    deinit {
        network.close()
        reactor.close()
        thread.withLock { $0.take() }?.join()
    }

    static let anyPort = Endpoint(IPAddress(v4: 0x7F00_0001), port: 0)

    /// Both ends of a connection.
    func pair() async throws -> (any OverlayStream, any OverlayStream) {
        let listener = try network.listen(on: Self.anyPort)
        let one = try await network.connect(to: listener.localEndpoint)
        return (one, try await listener.accept())
    }
}

private func soon(_ milliseconds: Int) -> Instant { SystemCall.now().advanced(by: .milliseconds(milliseconds)) }

/// What it fails with; nil where it doesn't.
private func failure<Value>(_ body: () async throws(OverlaySocketError) -> Value) async -> OverlaySocketError? {
    do throws(OverlaySocketError) {
        _ = try await body()
        return nil
    } catch {
        return error
    }
}

@Suite("The kernel's sockets")
struct KernelNetworkTests {
    @Test("a megabyte goes each way at a time, and each end finishes by itself")
    func halfClose() async throws {
        let loopback = try Loopback()
        let (one, other) = try await loopback.pair()
        let bytes = (0..<1 << 20).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        async let sent: Void = {
            try await one.write(bytes)
            try one.finish()
        }()
        // It waits for the end of what came before it says anything.
        var came: [UInt8] = []
        while true {
            let more = try await other.read()
            if more.isEmpty { break }
            came += more
        }
        try await sent
        #expect(came == bytes)
        try await other.write([1, 2, 3])
        other.close()
        #expect(try await one.read() == [1, 2, 3])
        #expect(try await one.read() == [])
        #expect(try await one.read() == [])
    }

    @Test("what waits ends by a deadline, by cancellation, and by closing; the first two leave the stream as it was")
    func endsOfWaits() async throws {
        let loopback = try Loopback()
        let (one, other) = try await loopback.pair()
        one.setDeadline(soon(20))
        #expect(await failure { () async throws(OverlaySocketError) in try await one.read() } == .timedOut)
        one.setDeadline(nil)
        let reading = Task { await failure { () async throws(OverlaySocketError) in try await one.read() } }
        try await Task.sleep(for: .milliseconds(20))
        #expect(await failure { () async throws(OverlaySocketError) in try await one.read() } == .busy)
        reading.cancel()
        #expect(await reading.value == .cancelled)
        try await other.write([7])
        #expect(try await one.read() == [7])
        let closing = Task { await failure { () async throws(OverlaySocketError) in try await one.read() } }
        try await Task.sleep(for: .milliseconds(20))
        one.close()
        #expect(await closing.value == .closed)
        #expect(await failure { () async throws(OverlaySocketError) in try await one.write([1]) } == .closed)
    }

    @Test("a writer waits while nobody reads")
    func backPressure() async throws {
        let loopback = try Loopback()
        let (one, other) = try await loopback.pair()
        one.setDeadline(soon(200))
        let much = [UInt8](repeating: 1, count: 64 << 20)
        #expect(await failure { () async throws(OverlaySocketError) in try await one.write(much) } == .timedOut)
        _ = other.localEndpoint
    }

    @Test("nobody listens, and a reset")
    func refusals() async throws {
        let loopback = try Loopback()
        let listener = try loopback.network.listen(on: Loopback.anyPort)
        let place = listener.localEndpoint
        let one = try await loopback.network.connect(to: place)
        do {
            let other = try await listener.accept()
            other.abort()
        }
        #expect(await failure { () async throws(OverlaySocketError) in try await one.read() } == .reset)
        let free = try loopback.network.openDatagrams(on: Loopback.anyPort).localEndpoint
        let refused = await failure { () async throws(OverlaySocketError) in
            try await loopback.network.connect(to: free)
        }
        #expect(refused == .refused)
    }

    @Test("datagrams come with who sent them")
    func datagrams() async throws {
        let loopback = try Loopback()
        let one = try loopback.network.openDatagrams(on: Loopback.anyPort)
        let other = try loopback.network.openDatagrams(on: Loopback.anyPort)
        for number in UInt8(0)..<3 { try await one.send(OverlayDatagram([number], with: other.localEndpoint)) }
        var came: [OverlayDatagram] = []
        while came.count < 3 { came += try await other.receive(atMost: 64) }
        #expect(came == (0..<3).map { OverlayDatagram([$0], with: one.localEndpoint) })
    }

    @Test("a relay carries both ways, by the kernel's own pipe, and ends with both ends")
    func relay() async throws {
        let loopback = try Loopback()
        let (client, near) = try await loopback.pair()
        let (far, server) = try await loopback.pair()
        let relay = Task { await Relay.join(near, far) }
        let bytes = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 13) }
        async let sent: Void = {
            try await client.write(bytes)
            try client.finish()
        }()
        var came: [UInt8] = []
        while true {
            let more = try await server.read()
            if more.isEmpty { break }
            came += more
        }
        try await sent
        #expect(came == bytes)
        try await server.write(bytes)
        server.close()
        var back: [UInt8] = []
        while true {
            let more = try await client.read()
            if more.isEmpty { break }
            back += more
        }
        #expect(back == bytes)
        await relay.value
    }
}
