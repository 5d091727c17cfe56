// SPDX-License-Identifier: Apache-2.0
import Synchronization
import Testing
import WeftTestSupport

@testable import Weft

@Suite("Changes under traffic")
struct ChangesUnderTrafficTests {
    /// Batches on their way from one thread to another; the sender waits when the receiver falls behind.
    private final class Wire: Sendable {
        private let queue = Mutex<[[[UInt8]]]>([])
        private let isClosed = Atomic(false)

        func send(_ batch: [[UInt8]]) {
            while queue.withLock({ $0.count }) > 8 { Threads.yield() }
            queue.withLock { $0.append(batch) }
        }

        /// Nil when the wire is closed and empty.
        func receive() -> [[UInt8]]? {
            while true {
                let closed = isClosed.load(ordering: .acquiring)
                if let batch = queue.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) { return batch }
                if closed { return nil }
                Threads.yield()
            }
        }

        func close() { isClosed.store(true, ordering: .releasing) }
    }

    /// One thread seals on `left`, one opens on `right`, and one does `change` for each number up to `changes`.
    /// - Returns: how many packets were sent.
    private func run(
        _ left: Engine, _ right: Engine, changes: Int, change: @escaping @Sendable (Int) throws -> Void
    ) throws -> Int {
        let wire = Wire()
        let isDone = Atomic(false)
        let sent = Atomic(0)
        let shared = Shared(wire: wire, isDone: isDone, sent: sent)
        try Threads.run(3) { number in
            switch number {
            case 0:
                defer { shared.isDone.store(true, ordering: .releasing) }
                for step in 1...changes {
                    // Each step is under traffic: it waits until another batch is on its way.
                    let before = shared.sent.load(ordering: .relaxed)
                    try change(step)
                    while shared.sent.load(ordering: .relaxed) == before { Threads.yield() }
                }
            case 1:
                defer { shared.wire.close() }
                var lane = try Lane(left)
                var fromOverlay = FromOverlay()
                var toUnderlay = ToUnderlay()
                for family in [IPAddress.Family.v4, .v6, .v4, .v6] {
                    fromOverlay.append(Packets.udp(from: .left, family))
                }
                while !shared.isDone.load(ordering: .acquiring) {
                    lane.refresh()
                    toUnderlay.removeAll()
                    lane.encapsulate(&fromOverlay, into: &toUnderlay, at: End.start)
                    shared.wire.send(toUnderlay.datagrams)
                    shared.sent.add(fromOverlay.packets.count, ordering: .relaxed)
                }
            default:
                var lane = try Lane(right)
                var fromUnderlay = FromUnderlay(capacity: 256, slotSize: 2048)
                var toOverlay = ToOverlay()
                while let batch = shared.wire.receive() {
                    lane.refresh()
                    fromUnderlay.removeAll()
                    toOverlay.removeAll()
                    for datagram in batch { fromUnderlay.append(datagram, from: End.Side.left.underlay(.v4)) }
                    lane.decapsulate(&fromUnderlay, into: &toOverlay, at: End.start)
                }
            }
        }
        return shared.sent.load(ordering: .relaxed)
    }

    private final class Shared: Sendable {
        let wire: Wire
        let isDone: Atomic<Bool>
        let sent: Atomic<Int>

        init(wire: Wire, isDone: consuming Atomic<Bool>, sent: consuming Atomic<Int>) {
            self.wire = wire
            self.isDone = isDone
            self.sent = sent
        }
    }

    @Test("1,000 rekeys, the receiver first, lose no packet")
    func rekeys() throws {
        let left = try End(.left).engine()
        let right = try End(.right).engine()
        let sent = try run(left, right, changes: 1_000) { step in
            let epoch = UInt32(step + 1)
            try right.install(Keys.pair(.right, epoch: epoch), for: .vni(End.vni), at: End.start)
            try left.install(Keys.pair(.left, epoch: epoch), for: .vni(End.vni), at: End.start)
        }
        #expect(sent >= 4_000)
        #expect(left.totals().drops == [:])
        #expect(right.totals().drops == [:])
        #expect(left.totals().txPackets == UInt64(sent))
        #expect(right.totals().rxPackets == UInt64(sent))
        let status = try #require(right.networks().first)
        // Nothing expired, since the clock stood still: every replaced key still opens.
        #expect(status.receive.count == 1_001)
        #expect(status.transmit?.spi == Keys.spi(.right, epoch: 1_001))
    }

    @Test("route updates that keep the traffic's routes lose no packet; those that take them away drop and count")
    func routes() throws {
        let left = try End(.left).engine()
        let right = try End(.right).engine()
        let other = try #require(Prefix("10.9.0.0/16"))
        let kept = End(.left).network.routes
        let sent = try run(left, right, changes: 500) { step in
            let extra = (0..<step % 40).compactMap { number in
                Prefix(IPAddress(v4: 0x0A03_0000 | UInt32(number) << 8), length: 24)
            }
            // Every tenth update takes the IPv6 route away for a moment.
            let routes = step % 10 == 0 ? kept.filter { $0.source.family == .v4 } : kept
            try left.updateRoutes(of: .vni(End.vni), to: routes + extra.map { Route(source: other, destination: $0) })
            try right.updateRoutes(
                of: .vni(End.vni), to: End(.right).network.routes + extra.map { Route(source: $0, destination: other) })
        }
        let tx = left.totals()
        let rx = right.totals()
        #expect(tx.fromOverlay == UInt64(sent))
        #expect(tx.txPackets + (tx.drops[.noRoute] ?? 0) == UInt64(sent))
        #expect(Set(tx.drops.keys) == [.noRoute])
        #expect(rx.rxPackets == tx.txPackets)
        #expect(rx.drops == [:])
    }
}
