// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

/// A vector's description of one end, and the engine that is made from it.
struct Handler: Decodable {
    struct End: Decodable {
        let addr: String
        let port: UInt16
        let mac: String

        func macAddress() throws -> MACAddress { try #require(MACAddress(mac)) }
        func endpoint() throws -> Endpoint { Endpoint(try #require(IPAddress(addr)), port: port) }
    }

    struct Pair: Decodable {
        let src: String
        let dst: String
    }

    let layer: Int
    let local: End
    let remote: End
    let vni: UInt32
    let routes: [Pair]
    let rxSpi: UInt32
    let txSpi: UInt32
    let rxKey: Hex
    let txKey: Hex
    let keyLifetimeMs: Int64
    let clockStartUnixNs: UInt64
    let virtMac: String?
    let srcMac: String?
    let outerUdpChecksum: Bool
    let validateOuterSrc: Bool
    let rxRateLimitPps: UInt64
    let keepAliveMs: Int64
    let keysInstalled: Bool
    let networkAdded: Bool

    var start: Instant { Instant(nanoseconds: clockStartUnixNs) }

    /// An engine with this end's network and keys, whose next counter is `txCounter`.
    func engine(nextCounter: UInt64 = 1) throws -> Engine {
        var configuration = EngineConfiguration(
            port: local.port, localAddresses: try [localAddress()], outerUDPChecksum: outerUdpChecksum, lanes: 2)
        if layer == 2 {
            configuration.mode = .layer2(
                source: try #require(srcMac.flatMap { MACAddress($0) }),
                destination: try #require(virtMac.flatMap { MACAddress($0) }))
        }
        let engine = try Engine(configuration)
        guard networkAdded else { return engine }
        try engine.add(
            NetworkConfiguration(
                vni: vni, endpoint: try remote.endpoint(), endpointMAC: try remote.macAddress(),
                routes: try routes.map {
                    Route(source: try #require(Prefix($0.src)), destination: try #require(Prefix($0.dst)))
                },
                keepAliveInterval: keepAliveMs > 0 ? .milliseconds(keepAliveMs) : nil,
                checksUnderlaySource: validateOuterSrc, receiveRateLimit: rxRateLimitPps > 0 ? rxRateLimitPps : nil))
        if keysInstalled {
            let pair = SAPair(
                receiveSPI: rxSpi, receiveKey: try PacketKey(rxKey.bytes), transmitSPI: txSpi,
                transmitKey: try PacketKey(txKey.bytes),
                expiry: start.advanced(by: .milliseconds(keyLifetimeMs)))
            try engine.install(pair, for: .vni(vni), at: start, sentBefore: nextCounter - 1)
        }
        return engine
    }

    private func localAddress() throws -> LocalAddress {
        let address = try #require(IPAddress(local.addr))
        return LocalAddress(address, prefixLength: address.family == .v4 ? 24 : 64, mac: try local.macAddress())
    }
}

/// What one end did with a frame.
struct Result: Equatable {
    var outcome: String
    var bytes: [UInt8]

    init(_ outcome: Lane.Outcome, _ buffer: [UInt8]) {
        switch outcome {
        case .forward(let range): (self.outcome, bytes) = ("forward", Array(buffer[range]))
        case .reply(let range): (self.outcome, bytes) = ("reply", Array(buffer[range]))
        case .consumed: (self.outcome, bytes) = ("consumed", [])
        case .dropped(let reason): (self.outcome, bytes) = ("dropped \(reason)", [])
        }
    }
}

extension Lane {
    /// Seals a frame across buffers.
    mutating func seal(
        _ frame: [UInt8], room: Int? = nil, as framing: Framing = .frame, at now: Instant
    ) -> Result {
        var output = [UInt8](repeating: 0xEE, count: room ?? frame.count + 256)
        let outcome = output.withMutableBytes { unsafe encapsulate(frame.span.bytes, into: &$0, as: framing, at: now) }
        return Result(outcome, output)
    }

    /// Seals a frame in place, with headroom.
    mutating func sealInPlace(_ frame: [UInt8], as framing: Framing = .frame, at now: Instant) -> Result {
        var buffer = [UInt8](repeating: 0xEE, count: 128) + frame + [UInt8](repeating: 0xEE, count: 128)
        let outcome = buffer.withMutableBytes {
            encapsulate(inPlace: &$0, packet: 128..<128 + frame.count, as: framing, at: now)
        }
        return Result(outcome, buffer)
    }

    /// Opens a frame across buffers.
    mutating func open(
        _ frame: [UInt8], from source: IPAddress? = nil, as framing: Framing = .frame, at now: Instant
    ) -> Result {
        var output = [UInt8](repeating: 0xEE, count: frame.count + 64)
        let outcome = output.withMutableBytes {
            unsafe decapsulate(frame.span.bytes, from: source, into: &$0, as: framing, at: now)
        }
        return Result(outcome, output)
    }

    /// Opens a frame in place.
    mutating func openInPlace(
        _ frame: [UInt8], from source: IPAddress? = nil, as framing: Framing = .frame, at now: Instant
    ) -> Result {
        var buffer = [UInt8](repeating: 0xEE, count: 3) + frame
        let outcome = buffer.withMutableBytes {
            decapsulate(
                inPlace: &$0, received: 3..<3 + frame.count, from: source, as: framing, at: now)
        }
        return Result(outcome, buffer)
    }
}

/// Checks an end's counters against the original's `stats_delta`.
func expectCounters(
    _ delta: [String: UInt64], before: Statistics, after: Statistics, allowing other: DropReason? = nil,
    _ name: String
) {
    #expect(after.rxPackets - before.rxPackets == delta["RXPackets"] ?? 0, "\(name): RXPackets")
    #expect(after.rxBytes - before.rxBytes == delta["RXBytes"] ?? 0, "\(name): RXBytes")
    #expect(after.txPackets - before.txPackets == delta["TXPackets"] ?? 0, "\(name): TXPackets")
    #expect(after.txBytes - before.txBytes == delta["TXBytes"] ?? 0, "\(name): TXBytes")
    for (counter, reasons) in Differences.reasons {
        guard let count = delta[counter] else { continue }
        let counted = reasons.reduce(0) { $0 + (after.drops[$1] ?? 0) - (before.drops[$1] ?? 0) }
        #expect(counted == count, "\(name): \(counter) in \(after.drops)")
    }
    for counter in delta.keys {
        #expect(
            Differences.reasons[counter] != nil || ["RXPackets", "RXBytes", "TXPackets", "TXBytes"].contains(counter),
            "\(name): no table entry for \(counter)")
    }
}
