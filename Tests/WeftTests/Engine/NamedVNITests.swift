// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

@Suite("networks whose VNIs come with their keys")
struct NamedVNITests {
    private static let network = NetworkID.number(3)

    /// Two engines, whose networks are numbered differently.
    private struct Ends: ~Copyable {
        let left: Engine
        let right: Engine
        var leftLane: Lane
        var rightLane: Lane

        init() throws {
            let left = try Engine(End(.left).configuration)
            let right = try Engine(End(.right).configuration)
            try left.add(Self.configuration(.left, NamedVNITests.network))
            try right.add(Self.configuration(.right, .number(0)))
            let leftLane = try Lane(left)
            let rightLane = try Lane(right)
            (self.left, self.right) = (left, right)
            self.leftLane = leftLane
            self.rightLane = rightLane
        }

        static func configuration(_ side: End.Side, _ id: NetworkID) -> NetworkConfiguration {
            NetworkConfiguration(id, endpoint: End(side).remote, routes: [side.route(.v4)])
        }

        /// Keys of an epoch, where the left end receives with one VNI and the right end with another.
        func install(epoch: UInt32, left leftVNI: UInt32, right rightVNI: UInt32, at now: Instant = End.start) throws {
            try right.install(
                NamedVNITests.pair(.right, epoch: epoch, receive: rightVNI, transmit: leftVNI), for: .number(0), at: now
            )
            try left.install(
                NamedVNITests.pair(.left, epoch: epoch, receive: leftVNI, transmit: rightVNI),
                for: NamedVNITests.network, at: now)
        }

        mutating func refresh() {
            leftLane.refresh()
            rightLane.refresh()
        }
    }

    private static func pair(
        _ side: End.Side, epoch: UInt32, receive: UInt32?, transmit: UInt32?
    ) throws -> SAPair {
        let pair = try Keys.pair(side, epoch: epoch)
        return SAPair(
            receiveSPI: pair.receiveSPI, receiveKey: pair.receiveKey, transmitSPI: pair.transmitSPI,
            transmitKey: pair.transmitKey, expiry: pair.expiry, receiveVNI: receive, transmitVNI: transmit)
    }

    private static let packet = Packets.udp(IPAddress(v4: 0x0A01_0001), IPAddress(v4: 0x0A02_0001), count: 60)
    private static let answer = Packets.udp(IPAddress(v4: 0x0A02_0001), IPAddress(v4: 0x0A01_0001), count: 60)

    @Test("each direction bears the VNI of its keys, and older ones open until their SAs end")
    func directions() throws {
        var ends = try Ends()
        try ends.install(epoch: 1, left: 0x111111, right: 0x222222)
        ends.refresh()
        let first = ends.leftLane.seal(Self.packet, as: .datagram, at: End.start)
        #expect(first.bytes.word(4, as: UInt32.self) >> 8 == 0x222222)
        let back = ends.rightLane.seal(Self.answer, as: .datagram, at: End.start)
        #expect(back.bytes.word(4, as: UInt32.self) >> 8 == 0x111111)
        #expect(ends.leftLane.open(back.bytes, as: .datagram, at: End.start).outcome == "forward")
        // Another session, with new VNIs.
        try ends.install(epoch: 2, left: 0x333333, right: 0x444444)
        ends.refresh()
        let second = ends.leftLane.seal(Self.packet, as: .datagram, at: End.start)
        #expect(second.bytes.word(4, as: UInt32.self) >> 8 == 0x444444)
        #expect(ends.rightLane.open(second.bytes, as: .datagram, at: End.start).outcome == "forward")
        #expect(ends.rightLane.open(first.bytes, as: .datagram, at: End.start).outcome == "forward")
        #expect(ends.right.networks()[0].receive.map(\.vni) == [0x444444, 0x222222])
        #expect(ends.right.networks()[0].vni == 0x444444)
        // The old SA's VNI goes with it.
        let later = End.start.advanced(by: Engine.grace + .seconds(1))
        ends.right.sweep(at: later)
        ends.refresh()
        let late = ends.rightLane.open(first.bytes, as: .datagram, at: later)
        #expect(late.outcome == "dropped \(DropReason.unknownVNI)")
        #expect(ends.right.networks()[0].receive.map(\.vni) == [0x444444])
        try ends.right.remove(.number(0))
        ends.refresh()
        #expect(
            ends.rightLane.open(second.bytes, as: .datagram, at: later).outcome == "dropped \(DropReason.unknownVNI)")
    }

    @Test("a VNI and an SPI are one SA's: the same SPI under another VNI is another key and window")
    func sameSPI() throws {
        let engine = try Engine(End(.right).configuration)
        try engine.add(Ends.configuration(.right, Self.network))
        var lane = try Lane(engine)
        let keys = [[UInt8](repeating: 1, count: 16), [UInt8](repeating: 2, count: 16)]
        for (vni, key) in zip([5, 6] as [UInt32], keys) {
            try engine.installReceive(
                spi: 9, key: PacketKey(key), expiry: .distantFuture, vni: vni, for: Self.network, at: End.start)
        }
        lane.refresh()
        for (vni, key) in zip([5, 6] as [UInt32], keys) {
            var datagram = Crafted(key: key, spi: 9, Self.packet)
            datagram.vni = vni
            let sealed = try datagram.sealed()
            #expect(lane.open(sealed, as: .datagram, at: End.start).outcome == "forward")
            #expect(lane.open(sealed, as: .datagram, at: End.start).outcome == "dropped \(DropReason.replayed)")
            datagram.vni = 11 - vni
            #expect(
                try lane.open(datagram.sealed(), as: .datagram, at: End.start).outcome
                    == "dropped \(DropReason.authenticationFailed)")
            datagram.vni = 7
            #expect(
                try lane.open(datagram.sealed(), as: .datagram, at: End.start).outcome
                    == "dropped \(DropReason.unknownVNI)")
        }
    }

    @Test("two networks never open under one VNI, and nothing changes where they would")
    func taken() throws {
        let engine = try Engine(End(.left).configuration)
        try engine.add(NetworkConfiguration(vni: 7, endpoint: nil, routes: []))
        for number in 0..<2 as Range<UInt32> {
            try engine.add(NetworkConfiguration(.number(number), endpoint: nil, routes: []))
        }
        let one = NetworkID.number(0)
        let other = NetworkID.number(1)
        #expect(throws: EngineError.noVNI(one)) {
            try engine.install(Keys.pair(.left, epoch: 1), for: one, at: End.start)
        }
        #expect(throws: EngineError.invalidVNI) {
            try engine.install(Self.pair(.left, epoch: 1, receive: 1 << 24, transmit: 1), for: one, at: End.start)
        }
        #expect(throws: EngineError.vniTaken(7)) {
            try engine.install(Self.pair(.left, epoch: 1, receive: 7, transmit: 1), for: one, at: End.start)
        }
        try engine.install(Self.pair(.left, epoch: 1, receive: 8, transmit: 1), for: one, at: End.start)
        let before = engine.generation.load(ordering: .relaxed)
        #expect(throws: EngineError.vniTaken(8)) {
            try engine.install(Self.pair(.left, epoch: 2, receive: 8, transmit: 1), for: other, at: End.start)
        }
        #expect(throws: EngineError.vniTaken(8)) {
            try engine.installReceive(
                spi: 5, key: PacketKey([UInt8](repeating: 5, count: 16)), expiry: .distantFuture, vni: 8, for: other,
                at: End.start)
        }
        #expect(throws: EngineError.vniTaken(8)) {
            try engine.add(NetworkConfiguration(vni: 8, endpoint: nil, routes: []))
        }
        #expect(engine.generation.load(ordering: .relaxed) == before)
        // Whoever had it makes way in the same step; a network with one of its own may name it.
        var changes = NetworkChanges()
        changes.removed = [one]
        changes.added = [NetworkConfiguration(vni: 8, endpoint: nil, routes: [])]
        try engine.apply(changes)
        try engine.install(Self.pair(.left, epoch: 3, receive: 8, transmit: 9), for: .vni(8), at: End.start)
        #expect(engine.networks().first { $0.id == .vni(8) }?.transmit?.vni == 9)
        // What datagrams that go bear is another end's to name.
        try engine.install(Self.pair(.left, epoch: 4, receive: 10, transmit: 8), for: other, at: End.start)
    }

    /// What an engine should open, kept naively: each SA by its VNI and SPI.
    private struct Reference {
        struct Name: Hashable {
            let vni: UInt32
            let spi: UInt32
        }

        var networks: Set<NetworkID> = []
        var associations: [Name: (network: NetworkID, key: [UInt8])] = [:]

        /// The networks that open under a VNI.
        func owners(of vni: UInt32) -> Set<NetworkID> {
            Set(associations.filter { $0.key.vni == vni }.values.map(\.network))
                .union(networks.contains(.vni(vni)) ? [.vni(vni)] : [])
        }
    }

    @Test("random networks and keys: each datagram is opened by the SA of its VNI and SPI and by no other")
    func random() throws {
        var generator = SeededGenerator.fresh()
        let engine = try Engine(End(.right).configuration)
        var lane = try Lane(engine)
        var reference = Reference()
        var counts: [String: Int] = [:]
        for step in 0..<4000 {
            let number = UInt32.random(in: 1...6, using: &generator)
            let id: NetworkID = Bool.random(using: &generator) ? .vni(number) : .number(number)
            let vni = UInt32.random(in: 1...8, using: &generator)
            let spi = UInt32.random(in: 1...4, using: &generator)
            switch Int.random(in: 0..<6, using: &generator) {
            case 0:
                let mayBe =
                    !reference.networks.contains(id)
                    && (id.vni.map { reference.owners(of: $0).isEmpty } ?? true)
                let isAdded = (try? engine.add(NetworkConfiguration(id, endpoint: nil, routes: []))) != nil
                #expect(isAdded == mayBe, "seed \(generator.seed), step \(step)")
                if isAdded { reference.networks.insert(id) }
            case 1:
                let isRemoved = (try? engine.remove(id)) != nil
                #expect(isRemoved == (reference.networks.remove(id) != nil), "seed \(generator.seed), step \(step)")
                reference.associations = reference.associations.filter { $0.value.network != id }
            default:
                let key = (0..<16).map { _ in UInt8.random(in: 0...255, using: &generator) }
                let packetKey = try PacketKey(key)
                let isInstalled =
                    (try? engine.installReceive(
                        spi: spi, key: packetKey, expiry: .distantFuture, vni: vni, for: id, at: End.start)) != nil
                let mayBe = reference.networks.contains(id) && reference.owners(of: vni).subtracting([id]).isEmpty
                #expect(isInstalled == mayBe, "seed \(generator.seed), step \(step)")
                if isInstalled { reference.associations[.init(vni: vni, spi: spi)] = (id, key) }
            }
            lane.refresh()
            // Any key, of which one is right at most, under any VNI and SPI.
            guard let some = reference.associations.randomElement(using: &generator) else { continue }
            let isAsMeant = Bool.random(using: &generator)
            let name = isAsMeant ? some.key : Reference.Name(vni: vni, spi: spi)
            var datagram = Crafted(key: some.value.key, spi: name.spi, [])
            (datagram.vni, datagram.counter) = (name.vni, UInt64(step + 1))
            datagram.protocolType = Geneve.ProtocolType.outOfBand
            let outcome = try lane.open(datagram.sealed(), as: .datagram, at: End.start).outcome
            let expected: String =
                if let owner = reference.associations[name] {
                    owner.key == some.value.key ? "consumed" : "dropped \(DropReason.authenticationFailed)"
                } else {
                    reference.owners(of: name.vni).isEmpty
                        ? "dropped \(DropReason.unknownVNI)" : "dropped \(DropReason.noReceiveKey)"
                }
            #expect(outcome == expected, "seed \(generator.seed), step \(step)")
            counts[outcome, default: 0] += 1
        }
        #expect(counts.count == 4, "seed \(generator.seed): \(counts)")
    }
}
