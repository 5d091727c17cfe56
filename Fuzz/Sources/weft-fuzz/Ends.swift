// SPDX-License-Identifier: Apache-2.0
@testable import Weft

/// Two engines with one network between them, as new for every input: counters begin at 1 and windows are empty.
final class Ends {
    static let vni: UInt32 = 7
    static let start = Instant(nanoseconds: 1 << 60)

    /// SPI 2 has an AES-128 key and SPI 4 one of AES-256; both open, the first one's owner sends with it.
    static let sendSPI: UInt32 = 2

    let left: Engine
    let right: Engine
    var leftLane: Lane
    var rightLane: Lane
    private let keys: [PacketKey]

    init(layer2: Bool, outer: IPAddress.Family = .v4, cipher: CipherChoice = .automatic) throws {
        keys = try [16, 32, 16].enumerated().map { try PacketKey([UInt8](repeating: UInt8($0 + 1), count: $1)) }
        left = try Self.engine(layer2, outer, cipher, own: 1, peer: 2)
        right = try Self.engine(layer2, outer, cipher, own: 2, peer: 1)
        leftLane = try Lane(left)
        rightLane = try Lane(right)
    }

    private static func underlay(_ number: UInt32) -> (v4: IPAddress, v6: IPAddress) {
        (IPAddress(v4: 0xC000_0200 | number), IPAddress(v6: 0x2001_0DB8 << 32, UInt64(number)))
    }

    private static func mac(_ number: UInt32) -> MACAddress { MACAddress(bits: 0x0200_0000_0000 | UInt64(number)) }

    private static func engine(
        _ layer2: Bool, _ outer: IPAddress.Family, _ cipher: CipherChoice, own: UInt32, peer: UInt32
    ) throws -> Engine {
        let local = underlay(own)
        let remote = underlay(peer)
        let engine = try Engine(
            EngineConfiguration(
                mode: layer2 ? .layer2(source: mac(own), destination: mac(peer)) : .layer3,
                localAddresses: [
                    LocalAddress(local.v4, prefixLength: 24, mac: mac(own)),
                    LocalAddress(local.v6, prefixLength: 64, mac: mac(own)),
                ], outerUDPChecksum: true, hashesSourcePort: true, flowHashKey: 1, cipher: cipher, lanes: 1))
        try engine.add(
            NetworkConfiguration(
                vni: Self.vni, endpoint: Endpoint(outer == .v4 ? remote.v4 : remote.v6, port: Geneve.port),
                endpointMAC: Self.mac(peer),
                routes: IPAddress.Family.allCases.map {
                    Route(source: Self.prefix(own, $0), destination: Self.prefix(peer, $0))
                }, keepAliveInterval: .seconds(1)))
        return engine
    }

    static func prefix(_ side: UInt32, _ family: IPAddress.Family) -> Prefix {
        let address =
            family == .v4
            ? IPAddress(v4: 0x0A00_0000 | side << 16) : IPAddress(v6: 0xFD00_0000 << 32 | UInt64(side) << 32, 0)
        return Prefix(address, length: family == .v4 ? 16 : 32) ?? Prefix(host: address)
    }

    /// Gives both ends new SAs. Installing keys anew would keep the windows, and adding networks anew costs more than
    /// what is fuzzed.
    func reset() {
        Self.renew(left, sendSPI: Self.sendSPI, send: keys[0], receive: [(3, keys[2])])
        Self.renew(right, sendSPI: 3, send: keys[2], receive: [(Self.sendSPI, keys[0]), (4, keys[1])])
        leftLane.refresh()
        rightLane.refresh()
    }

    private static func renew(
        _ engine: Engine, sendSPI: UInt32, send: PacketKey, receive: [(spi: UInt32, key: PacketKey)]
    ) {
        let transmit = TransmitSA(vni: Self.vni, spi: sendSPI, key: send, expiry: .distantFuture)
        let receive = receive.map { ReceiveSA(vni: Self.vni, spi: $0.spi, key: $0.key, expiry: .distantFuture) }
        engine.state.withLock { state in
            var edit = SnapshotEdit(state.snapshot)
            for slot in state.snapshot.networks.indices {
                edit[slot] = edit[slot].with(transmit: transmit, receive: receive)
            }
            engine.publish(edit, in: &state)
        }
    }

    /// The key that the right end opens an SPI with.
    func key(_ spi: UInt32) -> PacketKey { spi == 4 ? keys[1] : keys[0] }

    /// An inner packet from the left to the right, of at least 28 or 48 bytes.
    static func packet(_ family: IPAddress.Family, count: Int, proto: UInt8 = IPProtocol.udp) -> [UInt8] {
        var packet = [UInt8](repeating: 0x5A, count: count)
        route(&packet, family)
        if family == .v4 { packet[9] = proto } else { packet[6] = proto }
        return packet
    }

    /// Makes bytes a packet from the left to the right: the version, true lengths, and both addresses.
    static func route(_ packet: inout [UInt8], _ family: IPAddress.Family) {
        let (source, destination) = (prefix(1, family).address, prefix(2, family).address)
        guard packet.count >= (family == .v4 ? 20 : 40) else { return }
        switch family {
        case .v4:
            packet.put(0x4500 as UInt16, at: 0)
            packet.put(UInt16(truncatingIfNeeded: packet.count), at: 2)
            packet.put(source.v4Bits | 5, at: 12)
            packet.put(destination.v4Bits | 6, at: 16)
        case .v6:
            packet[0] = 0x60
            packet.put(UInt16(truncatingIfNeeded: packet.count - 40), at: 4)
            packet.put(source.high, at: 8)
            packet.put(5 as UInt64, at: 16)
            packet.put(destination.high, at: 24)
            packet.put(6 as UInt64, at: 32)
        }
    }
}

/// What became of a packet, with its bytes.
struct Passed: Equatable {
    var outcome: String
    var bytes: [UInt8] = []

    init(_ outcome: Lane.Outcome, _ buffer: [UInt8]) {
        switch outcome {
        case .forward(let range): (self.outcome, bytes) = ("forward", Passed.slice(buffer, range))
        case .reply(let range): (self.outcome, bytes) = ("reply", Passed.slice(buffer, range))
        case .consumed: self.outcome = "consumed"
        case .dropped(let reason): self.outcome = "dropped \(reason)"
        }
    }

    private static func slice(_ buffer: [UInt8], _ range: Range<Int>) -> [UInt8] {
        check(range.lowerBound >= 0 && range.upperBound <= buffer.count, "\(range) of \(buffer.count) bytes")
        return Array(buffer[range])
    }
}
