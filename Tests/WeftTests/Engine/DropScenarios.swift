// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

/// For each reason packets of which the last is dropped for it and the others pass.
enum DropScenarios {
    /// The transforms that can give a reason: only single ones move frames, and opening in place needs no room. What is
    /// no data never comes to a transform.
    static func ways(of reason: DropReason) -> [Scenario.Way] {
        switch reason {
        case .outerMalformed, .outerChecksum, .outerFragment, .notForUs, .ceOnNotECT: [.across, .inPlace]
        case .noOverlayRoom: [.across, .batch]
        case .controlNotTagged, .controlOverLimit, .controlNotTaken, .stunNotTaken, .discoNotTaken, .wireGuardNotTaken,
            .unknownNotTaken:
            []
        // Superpackets come in batches.
        case .offloadMalformed: [.batch]
        default: Scenario.Way.allCases
        }
    }

    /// Nil for what is counted before or behind the engine.
    static func scenario(for reason: DropReason) throws -> Scenario? {
        switch reason {
        case .tooLongForUnderlay, .underlayRefused, .overlayRefused: nil
        case _ where ways(of: reason).isEmpty: nil
        case _ where reason.isFromOverlay: try fromOverlay(reason)
        case .outerMalformed, .outerChecksum, .outerFragment, .notForUs, .ceOnNotECT: try frame(reason)
        default: try fromUnderlay(reason)
        }
    }

    private static func fromOverlay(_ reason: DropReason) throws -> Scenario {
        let good = Packets.udp(from: .left)
        var end = End(.left)
        var packets = [good]
        var offload = Offload.none
        var isCramped = false
        var epoch: UInt32? = 1
        var sentBefore: UInt64 = 0
        var now = End.start
        switch reason {
        case .overlayMalformed: packets.append(Array(good.dropLast()))
        case .overlayNotIP:
            end.layer2 = true
            packets = [Packets.frame(good).with(0x88, at: 12)]
        case .neighborNotAnswered:
            end.layer2 = true
            packets = [arpAnnouncement]
        case .noRoute: packets.append(Packets.udp(Packets.host(.left, .v4), IPAddress(v4: 0x0B00_0001), count: 60))
        case .noTransmitKey: (packets, epoch) = ([good], nil)
        case .transmitKeyExpired: (packets, now) = ([good], End.start.advanced(byNanoseconds: 11))
        case .countersExhausted: (packets, sentBefore) = ([good, good], SealingLimits.counter - 1)
        case .transmitKeyShared: (packets, epoch) = ([good], nil)
        case .noUnderlayAddress:
            end.hasEndpoint = false
            packets = [good]
        case .noRoom:
            isCramped = true
            // Longer than the first, so that it can't join its run.
            packets.append(Packets.udp(Packets.host(.left, .v4), Packets.host(.right, .v4), count: good.count + 1))
        case .offloadMalformed:
            packets.append(good)
            offload = Offload(kind: .tcp, segmentSize: 100, needsChecksum: true, checksumStart: 20, checksumOffset: 16)
        default: Issue.record("no scenario for \(reason)")
        }
        let expiry = reason == .transmitKeyExpired ? End.start.advanced(byNanoseconds: 10) : .distantFuture
        let engine = try end.engine(epoch: epoch, expiry: expiry, sentBefore: sentBefore)
        if reason == .transmitKeyShared {
            try installManualKeys(in: engine)
            engine.state.withLock { $0.snapshot.networks[0].transmit?.stop() }
        }
        var scenario = Scenario(
            engine: engine, now: now,
            inputs: packets.dropLast().map { .overlay($0) } + packets.suffix(1).map { .overlay($0, offload: offload) })
        scenario.isCramped = isCramped
        return scenario
    }

    private static func fromUnderlay(_ reason: DropReason) throws -> Scenario {
        var end = End(.right)
        let good = Crafted(from: .left, Packets.udp(from: .left))
        var bad = good
        bad.counter = 2
        var engine = try end.engine()
        var now = End.start
        var inputs: [Scenario.Input] = [.underlay(try good.sealed())]
        var source = End.Side.left.underlay(.v4)
        var isCramped = false
        var sealed: [UInt8]?
        switch reason {
        case .datagramTruncated: sealed = Array(try bad.sealed()[..<31])
        case .geneveVersion: bad.version = 1
        case .geneveControl: bad.flags = 0xC0
        case .geneveOptions: bad.options = Crafted.epochOption(bad.spi)
        case .geneveCriticalOption: bad.options = bad.header.dropFirst(8) + [0, 1, 0x80, 0]
        case .unknownVNI: bad.vni += 1
        case .wrongUnderlaySource:
            end.checksUnderlaySource = true
            engine = try end.engine()
            (inputs, source) = ([], IPAddress(v4: 0xC000_02FF))
        case .noReceiveKey: (bad.spi, bad.nonceSPI) = (99, 99)
        case .receiveKeyExpired:
            engine = try end.engine(expiry: End.start.advanced(byNanoseconds: 10))
            (inputs, now) = ([], End.start.advanced(byNanoseconds: 11))
        case .spiMismatch: bad.nonceSPI += 1
        case .rateLimited:
            end.rateLimit = 10
            engine = try end.engine()
        case .failuresLimited:
            end.rateLimit = 10
            engine = try end.engine()
            inputs = []
            engine.state.withLock { $0.snapshot.networks[0].rateLimit?.failed(from: source, at: now) }
        case .sealedWithOurKey:
            engine = try end.engine(epoch: nil)
            try installManualKeys(in: engine)
            inputs = []
            sealed = try Crafted(key: [UInt8](repeating: 1, count: 16), spi: 1, good.inner).sealed()
        case .authenticationFailed:
            let text = try bad.sealed()
            sealed = text.with(text[text.count - 1] ^ 1, at: text.count - 1)
        case .replayed: bad = good
        case .innerSourceNotAllowed:
            bad.inner = Packets.udp(IPAddress(v4: 0x0B00_0001), Packets.host(.right, .v4), count: 60)
        case .innerDestinationNotAllowed:
            bad.inner = Packets.udp(Packets.host(.left, .v4), IPAddress(v4: 0x0B00_0001), count: 60)
        case .innerMalformed: bad.protocolType = EtherType.ipv6
        case .noOverlayRoom: isCramped = true
        default: Issue.record("no scenario for \(reason)")
        }
        inputs.append(.underlay(try sealed ?? bad.sealed()))
        var scenario = Scenario(engine: engine, source: source, now: now, inputs: inputs)
        scenario.isCramped = isCramped
        return scenario
    }

    private static func installManualKeys(in engine: Engine) throws {
        let (send, receive) = (
            try PacketKey([UInt8](repeating: 1, count: 16)), try PacketKey([UInt8](repeating: 2, count: 16))
        )
        try engine.installManualKeys(
            ManualKeys(epoch: 1, sendKey: send, receiveKey: receive), for: .vni(End.vni), at: End.start)
    }

    private static func frame(_ reason: DropReason) throws -> Scenario {
        var sender = try Lane(try End(.left).engine())
        let good = sender.seal(Packets.udp(from: .left), at: End.start).bytes
        var bad = sender.seal(Packets.udp(from: .left), at: End.start).bytes
        switch reason {
        case .outerMalformed: bad[23] = IPProtocol.tcp
        case .outerChecksum: bad[24] ^= 1
        case .outerFragment:
            // DF becomes MF, and the checksum follows.
            bad[20] = 0x20
            bad.replaceSubrange(24..<26, with: [0, 0])
            bad.replaceSubrange(24..<26, with: Packets.big(~Reference.sum(bad[14..<34])))
        case .notForUs: bad[36] ^= 1
        case .ceOnNotECT: bad.replaceSubrange(14..., with: Packets.marked(Array(bad[14...]), 0b11))
        default: Issue.record("no scenario for \(reason)")
        }
        return Scenario(
            engine: try End(.right).engine(), framing: .frame, inputs: [.underlay(good), .underlay(bad)])
    }

    /// Who announces its own address asks for nothing.
    private static let arpAnnouncement: [UInt8] =
        [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2, 0, 0, 0, 0, 9, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9]
        + [10, 1, 0, 9, 0, 0, 0, 0, 0, 0, 10, 1, 0, 9]
}
