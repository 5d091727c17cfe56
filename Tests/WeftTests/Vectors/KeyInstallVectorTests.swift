// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

@Suite("Golden vectors: keys, windows, hashes and neighbours")
struct KeyInstallVectorTests {
    struct Install: NamedVector {
        struct Live: Decodable {
            let rxSpi: UInt32
            let expiresInNs: UInt64
        }

        struct Step: Decodable {
            let advanceNs: UInt64?
            let op: String?
            let step: String?
            let lifetimeNs: UInt64?
            let rxKey: Hex?
            let rxSpi: UInt32?
            let txKey: Hex?
            let txSpi: UInt32?
            let epoch: UInt32?
            let wantOk: Bool?
            let liveRxAfter: [Live]?
            let txCounterAfter: UInt64?
            let txSpiAfter: UInt32?
            let phyFrame: Hex?
            let wantLen: Int?
            let statsDelta: [String: UInt64]?
        }

        let name: String
        let sender: Handler?
        let receiver: Handler?
        let steps: [Step]
    }

    @Test("key_install: guards, grace, sweep and counters")
    func installs() throws {
        try Vectors.each("key_install", as: Install.self) { vector in
            let handler = try #require(vector.sender ?? vector.receiver)
            let engine = try handler.engine()
            var lane = try Lane(engine)
            var now = handler.start
            for (index, step) in vector.steps.enumerated() {
                let name = "\(vector.name) step \(index)"
                now = now.advanced(byNanoseconds: step.advanceNs ?? 0)
                lane.refresh()
                if let frame = step.phyFrame {
                    let before = engine.totals()
                    let result = lane.open(frame.bytes, at: now)
                    #expect(result.bytes.count == step.wantLen, "\(name): \(result.outcome)")
                    expectCounters(step.statsDelta ?? [:], before: before, after: engine.totals(), name)
                    continue
                }
                let expiry = now.advanced(byNanoseconds: try #require(step.lifetimeNs))
                let receiveKey = try PacketKey(try #require(step.rxKey).bytes)
                let transmitKey = try PacketKey(try #require(step.txKey).bytes)
                var accepted = true
                do {
                    if let epoch = step.epoch {
                        try engine.installManualKeys(
                            ManualKeys(
                                epoch: epoch, sendKey: transmitKey, receiveKey: receiveKey, expiry: expiry),
                            for: .vni(handler.vni), at: now)
                    } else {
                        let pair = SAPair(
                            receiveSPI: try #require(step.rxSpi), receiveKey: receiveKey,
                            transmitSPI: try #require(step.txSpi), transmitKey: transmitKey, expiry: expiry)
                        try engine.install(pair, for: .vni(handler.vni), at: now)
                    }
                } catch is EngineError {
                    accepted = false
                }
                #expect(accepted == (step.wantOk ?? true), "\(name)")
                let status = try #require(engine.networks().first)
                if let live = step.liveRxAfter {
                    let ours = status.receive.sorted { $0.spi < $1.spi }.map {
                        [UInt64($0.spi), $0.expiry.nanoseconds - now.nanoseconds]
                    }
                    #expect(ours == live.map { [UInt64($0.rxSpi), $0.expiresInNs] }, "\(name)")
                }
                if let counter = step.txCounterAfter {
                    #expect(status.transmit?.lastCounter == counter, "\(name)")
                }
                #expect(status.transmit?.spi == step.txSpiAfter ?? status.transmit?.spi, "\(name)")
                // The generator sends one frame after each step.
                if status.transmit != nil, vector.sender != nil {
                    lane.refresh()
                    let source = handler.layer == 3 ? [] as [UInt8] : [UInt8](repeating: 2, count: 14)
                    _ = lane.seal(source + samplePacket, at: now)
                }
            }
        }
    }

    /// 10.1.0.5 to 10.2.0.6.
    private var samplePacket: [UInt8] {
        [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 10, 1, 0, 5, 10, 2, 0, 6]
    }

    struct Replay: NamedVector {
        let name: String
        let counters: [String]
        let accept: [Int]
    }

    @Test("replay_filter: which counters are accepted")
    func replay() throws {
        try Vectors.each("replay_filter", as: Replay.self) { vector in
            var window = ReplayWindow()
            let accepted = try vector.counters.map { window.accept(try #require(UInt64($0))) ? 1 : 0 }
            #expect(accepted == vector.accept, "\(vector.name)")
        }
    }

    struct Hash: NamedVector {
        let name: String
        let keyHex: String?
        let ipPacket: Hex?
        let hash: UInt16
        let sourcePort: UInt16
    }

    @Test("flowhash: the keyed flow hash and its port")
    func hashes() throws {
        try Vectors.each("flowhash", as: Hash.self) { vector in
            #expect(FlowHash.port(of: vector.hash) == vector.sourcePort, "\(vector.name)")
            guard let key = vector.keyHex, let packet = vector.ipPacket else { return }
            let hash = FlowHash(key: try #require(UInt64(key, radix: 16))).hash(unsafe packet.bytes.span.bytes)
            #expect((hash == vector.hash) != Differences.hashesDifferently(vector.name), "\(vector.name)")
        }
    }

    struct Neighbour: NamedVector {
        let name: String
        let handler: Handler
        let handlerFrame: Hex
        let handlerLocalReply: Bool
        let handlerLen: Int
        let request: Hex
        let handlerStatsDelta: [String: UInt64]
    }

    @Test("proxy_arp_nd: what is answered on the overlay, and with which bytes")
    func neighbours() throws {
        try Vectors.each("proxy_arp_nd", as: Neighbour.self) { vector in
            for inPlace in [false, true] {
                let engine = try vector.handler.engine()
                var lane = try Lane(engine)
                let now = vector.handler.start
                let result =
                    inPlace ? lane.sealInPlace(vector.request.bytes, at: now) : lane.seal(vector.request.bytes, at: now)
                if Differences.notAnswered[vector.name] != nil {
                    #expect(result.outcome == "dropped neighborNotAnswered", "\(vector.name)")
                    continue
                }
                #expect(result.bytes == vector.handlerFrame.bytes, "\(vector.name): \(result.outcome)")
                #expect((result.outcome == "reply") == vector.handlerLocalReply, "\(vector.name)")
                expectCounters(
                    vector.handlerStatsDelta, before: Statistics(), after: engine.totals(), vector.name)
                #expect(engine.totals().fromOverlay == 1, "\(vector.name): not accounted for")
            }
        }
    }
}
