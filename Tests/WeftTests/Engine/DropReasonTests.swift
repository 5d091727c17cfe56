// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

@Suite("Drop reasons")
struct DropReasonTests {
    /// Reasons that are found before a packet's network is known.
    static let nobodys: Set<DropReason> = [
        .overlayMalformed, .overlayNotIP, .neighborNotAnswered, .noRoute, .outerMalformed,
        .outerChecksum, .outerFragment, .notForUs, .datagramTruncated, .geneveVersion, .geneveControl, .geneveOptions,
        .geneveCriticalOption, .unknownVNI,
    ]

    static let transports: [DropReason] = [.tooLongForUnderlay, .underlayRefused, .overlayRefused]

    @Test(
        "each reason that the engine gives is reached and counted once, through every transform",
        arguments: DropReason.allCases.filter { !transports.contains($0) }, Scenario.Way.allCases)
    func reached(reason: DropReason, way: Scenario.Way) throws {
        guard DropScenarios.ways(of: reason).contains(way) else { return }
        let scenario = try #require(try DropScenarios.scenario(for: reason))
        let passed = try scenario.run(way)
        let totals = scenario.engine.totals()
        #expect(totals.drops == [reason: 1])
        #expect(passed == scenario.inputs.count - 1)
        #expect(totals.fromOverlay == UInt64(scenario.overlayCount))
        #expect(totals.fromUnderlay == UInt64(scenario.underlayCount))
        #expect(totals.toUnderlay + totals.toOverlay == UInt64(passed))
        let own = try #require(scenario.engine.networks().first).statistics.drops
        #expect(own == (Self.nobodys.contains(reason) ? [:] : [reason: 1]))
    }

    @Test("a transport's refusal comes after sealing or opening and is counted once", arguments: transports)
    func refused(reason: DropReason) throws {
        let engine = try End(.right).engine()
        var lane = try Lane(engine)
        let packet = Packets.udp(from: .right)
        #expect(lane.seal(packet, as: .datagram, at: End.start).outcome == "forward")
        let datagram = try Crafted(from: .left, Packets.udp(from: .left)).sealed()
        #expect(lane.open(datagram, as: .datagram, at: End.start).outcome == "forward")
        lane.countDrop(reason, in: .vni(End.vni))
        let network = try #require(engine.networks().first).statistics
        for statistics in [engine.totals(), network] {
            #expect(statistics.drops == [reason: 1])
            #expect(statistics.fromOverlay == 1)
            #expect(statistics.fromUnderlay == 1)
            #expect(statistics.toUnderlay == (reason.isFromOverlay ? 0 : 1))
            #expect(statistics.toOverlay == (reason.isFromOverlay ? 1 : 0))
        }
    }

    @Test("a refusal that no network is known for is in the engine's books only")
    func refusedForNobody() throws {
        let engine = try End(.left).engine()
        let lane = try Lane(engine)
        for vni in [99, UInt32.max] { lane.countDrop(.underlayRefused, in: .vni(vni), packets: 3) }
        #expect(engine.totals().drops == [.underlayRefused: 6])
        #expect(engine.networks().first?.statistics.drops == [:])
    }

    @Test("a reason's direction is that of its packets, and every reason explains itself")
    func words() throws {
        for reason in DropReason.allCases {
            #expect(reason.explanation.count > 20, "\(reason)")
            #expect(reason.isTransportRefusal == Self.transports.contains(reason), "\(reason)")
            guard let scenario = try DropScenarios.scenario(for: reason) else { continue }
            #expect(reason.isFromOverlay == (scenario.overlayCount > 0), "\(reason)")
        }
    }

    @Test("parts that are read while lanes count on never make a sum trap")
    func tornRead() {
        var statistics = Statistics()
        statistics.txKeepAlives = 1
        statistics.rxOutOfBand = 1
        statistics.drops = [.underlayRefused: 2, .overlayRefused: 2, .noRoute: .max, .replayed: .max]
        #expect(statistics.toUnderlay == 0)
        #expect(statistics.toOverlay == 0)
        #expect(statistics.fromOverlay == .max)
        #expect(statistics.fromUnderlay == .max)
    }
}
