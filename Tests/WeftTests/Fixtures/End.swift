// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

/// One end of a virtual network between `left` and `right`, and the engine that is made from it. A test changes the
/// fields that it is about.
struct End {
    enum Side: CaseIterable {
        case left
        case right

        var other: Side { self == .left ? .right : .left }

        /// The overlay's prefix on this side.
        func prefix(_ family: IPAddress.Family) -> Prefix {
            let bits: UInt64 = self == .left ? 1 : 2
            let address =
                family == .v4
                ? IPAddress(v4: 0x0A00_0000 | UInt32(bits) << 16) : IPAddress(v6: 0xFD00_0000 << 32 | bits << 32, 0)
            return Prefix(address, length: family == .v4 ? 16 : 32) ?? Prefix(host: address)
        }

        func underlay(_ family: IPAddress.Family) -> IPAddress {
            let host: UInt64 = self == .left ? 1 : 2
            return family == .v4
                ? IPAddress(v4: 0xC000_0200 | UInt32(host)) : IPAddress(v6: 0x2001_0DB8 << 32, host)
        }

        var mac: MACAddress { MACAddress(bits: self == .left ? 0x0200_0000_0001 : 0x0200_0000_0002) }

        /// From this side to the other.
        func route(_ family: IPAddress.Family) -> Route {
            Route(source: prefix(family), destination: other.prefix(family))
        }
    }

    static let start = Instant(nanoseconds: 1_700_000_000_000_000_000)
    static let vni: UInt32 = 7

    var side: Side
    var layer2 = false
    /// The underlay's family.
    var outer: IPAddress.Family = .v4
    var cipher: CipherChoice = .automatic
    var lanes = 10
    var udpChecksum = false
    var hashesSourcePort = false
    var vni = Self.vni
    var hasEndpoint = true
    var checksUnderlaySource = false
    var rateLimit: UInt64?
    var keepAlive: Duration?

    init(_ side: Side) { self.side = side }

    var local: Endpoint { Endpoint(side.underlay(outer), port: Geneve.port) }
    var remote: Endpoint { Endpoint(side.other.underlay(outer), port: Geneve.port) }

    var configuration: EngineConfiguration {
        EngineConfiguration(
            mode: layer2 ? .layer2(source: side.mac, destination: side.other.mac) : .layer3,
            localAddresses: [LocalAddress(local.address, prefixLength: outer == .v4 ? 24 : 64, mac: side.mac)],
            outerUDPChecksum: udpChecksum, hashesSourcePort: hashesSourcePort, flowHashKey: 1, cipher: cipher,
            lanes: lanes)
    }

    var network: NetworkConfiguration {
        NetworkConfiguration(
            vni: vni, endpoint: hasEndpoint ? remote : nil, endpointMAC: side.other.mac,
            routes: [side.route(.v4), side.route(.v6)], keepAliveInterval: keepAlive,
            checksUnderlaySource: checksUnderlaySource, receiveRateLimit: rateLimit)
    }

    /// An engine with the network, and with keys where `epoch` is given.
    func engine(
        epoch: UInt32? = 1, keyLength: Int = 16, expiry: Instant = .distantFuture, sentBefore: UInt64 = 0
    ) throws -> Engine {
        let engine = try Engine(configuration)
        try engine.add(network)
        if let epoch {
            try engine.install(
                Keys.pair(side, epoch: epoch, length: keyLength, expiry: expiry), for: .vni(vni), at: Self.start,
                sentBefore: sentBefore)
        }
        return engine
    }
}

/// Test keys: what one side sends with the other receives with.
enum Keys {
    /// The SPI that a side sends with under an epoch.
    static func spi(_ side: End.Side, epoch: UInt32) -> UInt32 { epoch * 2 + (side == .left ? 0 : 1) }

    /// The bytes that a side sends with.
    static func bytes(_ side: End.Side, epoch: UInt32, length: Int = 16) -> [UInt8] {
        var generator = SeededGenerator(seed: UInt64(spi(side, epoch: epoch)))
        return (0..<length).map { _ in .random(in: 0...255, using: &generator) }
    }

    static func key(_ side: End.Side, epoch: UInt32, length: Int = 16) throws -> PacketKey {
        try PacketKey(bytes(side, epoch: epoch, length: length))
    }

    static func pair(
        _ side: End.Side, epoch: UInt32, length: Int = 16, expiry: Instant = .distantFuture
    ) throws -> SAPair {
        SAPair(
            receiveSPI: spi(side.other, epoch: epoch), receiveKey: try key(side.other, epoch: epoch, length: length),
            transmitSPI: spi(side, epoch: epoch), transmitKey: try key(side, epoch: epoch, length: length),
            expiry: expiry)
    }
}
