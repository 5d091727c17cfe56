// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

@Suite("Installing keys")
struct InstallTests {
    private static func pair(
        receive: (UInt32, UInt8), transmit: (UInt32, UInt8), expiry: Instant = .distantFuture
    ) throws -> SAPair {
        SAPair(
            receiveSPI: receive.0, receiveKey: try key(receive.1), transmitSPI: transmit.0,
            transmitKey: try key(transmit.1), expiry: expiry)
    }

    private static func key(_ byte: UInt8, length: Int = 16) throws -> PacketKey {
        try PacketKey([UInt8](repeating: byte, count: length))
    }

    private static func manual(_ epoch: UInt32, send: UInt8, receive: UInt8) throws -> ManualKeys {
        ManualKeys(epoch: epoch, sendKey: try key(send), receiveKey: try key(receive))
    }

    /// Expects an error, and that the network's keys, counters and snapshot stay as they were.
    private func refused(
        _ engine: Engine, _ error: EngineError, vni: UInt32 = End.vni,
        sourceLocation: SourceLocation = #_sourceLocation,
        _ change: () throws -> Void
    ) {
        func state() -> [String] {
            engine.networks().map { "\($0.id) \($0.receive) \(String(describing: $0.transmit))" }
                + ["\(engine.generation.load(ordering: .relaxed))"]
        }
        let before = state()
        #expect(throws: error, sourceLocation: sourceLocation) { try change() }
        #expect(state() == before, sourceLocation: sourceLocation)
    }

    /// The counter that the next packet is sealed with; nil when it is dropped.
    private func nextCounter(_ engine: Engine) throws -> UInt64? {
        var lane = try Lane(engine)
        let sealed = lane.seal(Packets.udp(from: .left), as: .datagram, at: End.start)
        return sealed.outcome == "forward" ? sealed.bytes.word(24) : nil
    }

    @Test("SPI 0, equal keys and the live transmit key are refused; also before the first installation")
    func guards() throws {
        for epoch in [nil, 1] as [UInt32?] {
            let engine = try End(.left).engine(epoch: epoch)
            refused(engine, .zeroSPI) {
                try engine.install(Self.pair(receive: (0, 1), transmit: (2, 2)), for: .vni(End.vni), at: End.start)
            }
            refused(engine, .zeroSPI) {
                try engine.install(Self.pair(receive: (1, 1), transmit: (0, 2)), for: .vni(End.vni), at: End.start)
            }
            refused(engine, .zeroSPI) {
                try engine.installManualKeys(Self.manual(0, send: 1, receive: 2), for: .vni(End.vni), at: End.start)
            }
            refused(engine, .equalKeys) {
                try engine.install(Self.pair(receive: (1, 5), transmit: (2, 5)), for: .vni(End.vni), at: End.start)
            }
            refused(engine, .equalKeys) {
                try engine.installManualKeys(Self.manual(9, send: 5, receive: 5), for: .vni(End.vni), at: End.start)
            }
        }
        let engine = try End(.left).engine(epoch: nil)
        try engine.install(Self.pair(receive: (1, 1), transmit: (2, 2)), for: .vni(End.vni), at: End.start)
        #expect(try nextCounter(engine) == 1)
        refused(engine, .transmitKeyInUse(spi: 2)) {
            try engine.install(Self.pair(receive: (3, 3), transmit: (2, 2)), for: .vni(End.vni), at: End.start)
        }
        #expect(try nextCounter(engine) == 2)
    }

    @Test("keys have 16 or 32 bytes, and a suite can't equal another")
    func keyLengths() throws {
        for length in [0, 1, 15, 17, 24, 31, 33, 64] {
            #expect(throws: EngineError.invalidKey("a key has 16 or 32 bytes, not \(length)")) {
                _ = try Self.key(1, length: length)
            }
        }
        #expect(try Self.key(1).suite == .aes128GCM)
        #expect(try Self.key(1, length: 32).suite == .aes256GCM)
        #expect(try Self.key(1).isEqual(to: Self.key(1)))
        #expect(try !Self.key(1).isEqual(to: Self.key(2)))
        #expect(try !Self.key(1).isEqual(to: Self.key(1, length: 32)))
    }

    @Test("a reused SPI with a fresh key and a lower SPI are accepted, and start at counter 1")
    func accepted() throws {
        let engine = try End(.left).engine(epoch: nil)
        for (step, spis) in [(50, 60), (50, 60), (40, 30), (40, 61), (1, 1)].enumerated() {
            let bytes = (UInt8(step * 2 + 1), UInt8(step * 2 + 2))
            let pair = try Self.pair(receive: (UInt32(spis.0), bytes.0), transmit: (UInt32(spis.1), bytes.1))
            try engine.install(pair, for: .vni(End.vni), at: End.start)
            #expect(engine.networks().first?.transmit?.spi == UInt32(spis.1))
            #expect(engine.networks().first?.receive.first?.spi == UInt32(spis.0))
            #expect(try nextCounter(engine) == 1)
        }
        // 40 and 50 were replaced at once by their namesakes, and otherwise live on.
        #expect(engine.networks().first?.receive.map(\.spi) == [1, 40, 50])
    }

    @Test("the same receive SPI: another key replaces it at once, the same key goes on with its window")
    func sameReceiveSPI() throws {
        let engine = try End(.right).engine()
        var lane = try Lane(engine)
        let first = try Crafted(from: .left, Packets.udp(from: .left)).sealed()
        var second = Crafted(from: .left, Packets.udp(from: .left))
        second.counter = 2
        #expect(lane.open(first, as: .datagram, at: End.start).outcome == "forward")

        let spi = Keys.spi(.left, epoch: 1)
        let later = End.start.advanced(by: .seconds(5))
        func install(_ key: PacketKey, expiry: Instant, transmit: UInt8) throws {
            try engine.install(
                SAPair(
                    receiveSPI: spi, receiveKey: key, transmitSPI: 9, transmitKey: Self.key(transmit), expiry: expiry),
                for: .vni(End.vni), at: End.start)
            lane.refresh()
        }
        try install(try Keys.key(.left, epoch: 1), expiry: later, transmit: 100)
        #expect(engine.networks().first?.receive == [.init(vni: End.vni, spi: spi, expiry: later, highestCounter: 1)])
        #expect(lane.open(first, as: .datagram, at: End.start).outcome == "dropped replayed")
        #expect(lane.open(try second.sealed(), as: .datagram, at: End.start).outcome == "forward")
        try install(try Self.key(7), expiry: .distantFuture, transmit: 101)
        #expect(
            engine.networks().first?.receive == [
                .init(vni: End.vni, spi: spi, expiry: .distantFuture, highestCounter: 0)
            ])
        #expect(lane.open(first, as: .datagram, at: End.start).outcome == "dropped authenticationFailed")
    }

    @Test("manual keys: the epoch rises, and what is refused leaves the epoch and the key free")
    func epochs() throws {
        let engine = try End(.left).engine(epoch: nil)
        try engine.installManualKeys(Self.manual(5, send: 1, receive: 2), for: .vni(End.vni), at: End.start)
        for epoch in [1, 4, 5] as [UInt32] {
            refused(engine, .epochNotRising(new: epoch, current: 5)) {
                try engine.installManualKeys(Self.manual(epoch, send: 3, receive: 4), for: .vni(End.vni), at: End.start)
            }
        }
        refused(engine, .equalKeys) {
            try engine.installManualKeys(Self.manual(7, send: 3, receive: 3), for: .vni(End.vni), at: End.start)
        }
        // Neither epoch 7 nor its key was taken by the failure; the same keys may go on under a higher epoch.
        try engine.installManualKeys(Self.manual(6, send: 1, receive: 2), for: .vni(End.vni), at: End.start)
        try engine.installManualKeys(Self.manual(7, send: 3, receive: 2), for: .vni(End.vni), at: End.start)
        #expect(engine.networks().first?.transmit?.spi == 7)
        #expect(engine.networks().first?.receive.map(\.spi) == [7, 6, 5])
    }

    @Test("a manual transmit key is used up in the whole engine: across VNIs, after removal, for agreed pairs too")
    func usedKeys() throws {
        let engine = try End(.left).engine(epoch: nil)
        var other = End(.left).network
        (other.id, other.routes) = (.vni(8), [])
        try engine.add(other)
        try engine.installManualKeys(Self.manual(5, send: 1, receive: 2), for: .vni(End.vni), at: End.start)
        refused(engine, .transmitKeyUsedBefore(spi: 5)) {
            try engine.installManualKeys(Self.manual(5, send: 1, receive: 9), for: .vni(8), at: End.start)
        }
        refused(engine, .transmitKeyUsedBefore(spi: 5)) {
            try engine.install(Self.pair(receive: (1, 9), transmit: (5, 1)), for: .vni(8), at: End.start)
        }
        // Another epoch, or the same bytes as a receive key, is no reuse.
        try engine.installManualKeys(Self.manual(6, send: 1, receive: 9), for: .vni(8), at: End.start)
        try engine.remove(.vni(End.vni))
        try engine.add(End(.left).network)
        refused(engine, .transmitKeyUsedBefore(spi: 5)) {
            try engine.installManualKeys(Self.manual(5, send: 1, receive: 2), for: .vni(End.vni), at: End.start)
        }
        // The epoch went with the network; only the key is remembered.
        try engine.installManualKeys(Self.manual(5, send: 2, receive: 1), for: .vni(End.vni), at: End.start)
    }

    @Test("manual keys go on above their marks: counters sent, the ceiling, counters received")
    func marks() throws {
        let left = try End(.left).engine(epoch: nil)
        var keys = try Self.manual(3, send: 1, receive: 2)
        (keys.sentBefore, keys.ceiling, keys.receivedBefore) = (10, 11, 100)
        try left.installManualKeys(keys, for: .vni(End.vni), at: End.start)
        #expect(try nextCounter(left) == 11)
        #expect(try nextCounter(left) == nil)
        try left.raiseCounterCeiling(of: .vni(End.vni), spi: 2, to: 13)
        #expect(try nextCounter(left) == nil)
        try left.raiseCounterCeiling(of: .vni(End.vni), spi: 3, to: 12)
        #expect(try nextCounter(left) == 12)

        var crafted = Crafted(
            key: [UInt8](repeating: 2, count: 16), spi: 3, Packets.udp(from: .right))
        var lane = try Lane(left)
        for (counter, outcome) in [(100, "dropped replayed"), (99, "dropped replayed"), (101, "forward")] {
            crafted.counter = UInt64(counter)
            #expect(lane.open(try crafted.sealed(), as: .datagram, at: End.start).outcome == outcome)
        }
        #expect(left.networks().first?.receive.first?.highestCounter == 101)
    }
}
