// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import Testing
import WeftTestSupport
import WeftUDP

@testable import Weft
@testable import WeftDiscovery

/// Two agents on data planes of their own, joined by an underlay in memory.
@Suite("STUN agent", .serialized)
struct STUNAgentTests {
    private static let left = Endpoint(IPAddress(v4: 0xC000_0201), port: 6081)
    private static let right = Endpoint(IPAddress(v4: 0xC000_0202), port: 6081)

    /// A data plane with nothing but an underlay, which a thread pumps.
    private final class Station: Sendable {
        let plane: DataPlane
        let transport: UnderlayTransport
        let underlay: MemoryUnderlay
        private let wake: WakeEvent
        private let isClosing = Atomic(false)

        init(_ underlay: MemoryUnderlay, _ wake: WakeEvent) throws {
            plane = DataPlane(engine: try Engine(EngineConfiguration(lanes: 2)))
            transport = plane.add(underlay: underlay, name: "memory")
            self.underlay = underlay
            self.wake = wake
        }

        func pump() throws {
            var end = try transport.makeEnd(overlay: MemoryOverlay(wake: wake))
            var batch = FromUnderlay()
            while !isClosing.load(ordering: .acquiring) {
                batch.removeAll()
                try underlay.receive(into: &batch, timeout: 100)
                end.send(&batch, at: SystemCall.now())
            }
        }

        func close() {
            isClosing.store(true, ordering: .releasing)
            wake.signal()
        }
    }

    @Test("an agent learns how another sees it, by name as well, and both close within a second")
    func agents() throws {
        let wakes = (try WakeEvent(), try WakeEvent())
        let ends = try MemoryUnderlay.pair((Self.left, wakes.0), (Self.right, wakes.1))
        let left = try Station(ends.left, wakes.0)
        let right = try Station(ends.right, wakes.1)
        let server = try #require(STUNServerName("192.0.2.2:6081"))
        let nobody = try #require(STUNServerName("no-such-host.invalid"))
        let asking = try STUNAgent(left.plane, by: left.transport.id, servers: [server, nobody], responds: false)
        let answering = try STUNAgent(right.plane, by: right.transport.id, servers: [], responds: true)
        #expect(throws: StreamError.taken(.stun)) {
            try STUNAgent(left.plane, by: left.transport.id, servers: [], responds: true)
        }
        let clock = ContinuousClock()
        try Threads.run(5) { number in
            switch number {
            case 0: try left.pump()
            case 1: try right.pump()
            case 2: asking.run()
            case 3: answering.run()
            default:
                for _ in 0..<3000 where asking.current.finished == nil { usleep(10_000) }
                #expect(asking.current.mappings[.v4]?.endpoint == Self.left)
                #expect(answering.current.answered == 1)
                let outcomes = asking.current.results.map(\.outcome)
                #expect(outcomes.contains(.notSent("no such host is known")))
                let start = clock.now
                asking.close()
                answering.close()
                left.close()
                right.close()
                #expect(clock.now - start < .seconds(1))
            }
        }
        // The kind is free again.
        _ = try left.plane.streams.consume(.stun)
    }
}
