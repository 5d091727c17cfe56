// SPDX-License-Identifier: Apache-2.0
@_spi(Benchmarks) import Weft

/// Two engines and TCP superpackets between them, in segments of 1,400 bytes.
final class Superpackets {
    private static let time = Instant(nanoseconds: 1)
    private static let header = 40
    private static let payload = 1360

    let segments: Int
    /// Superpackets that the last buffer became.
    private(set) var groups = 0
    private let sender: Engine
    private let receiver: Engine
    private var sending: Lane
    private var receiving: Lane
    private var packets = FromOverlay()
    private var datagrams = ToUnderlay()
    private var received = FromUnderlay(capacity: 2)
    private var opened = ToOverlay()

    init(segments: Int) throws {
        self.segments = segments
        let keys = try (PacketKey([UInt8](repeating: 1, count: 16)), PacketKey([UInt8](repeating: 2, count: 16)))
        func engine(_ ours: String, _ theirs: String, _ send: PacketKey, _ receive: PacketKey) throws -> Engine {
            let engine = try Engine(EngineConfiguration(lanes: 1))
            guard let source = Prefix(ours), let destination = Prefix(theirs) else { return engine }
            try engine.add(
                NetworkConfiguration(
                    vni: 7, endpoint: Endpoint("192.0.2.1:6081"),
                    routes: [Route(source: source, destination: destination)]))
            let pair = SAPair(
                receiveSPI: 1, receiveKey: receive, transmitSPI: 1, transmitKey: send, expiry: .distantFuture)
            try engine.install(pair, for: .vni(7), at: Self.time)
            return engine
        }
        sender = try engine("10.1.0.0/16", "10.2.0.0/16", keys.0, keys.1)
        receiver = try engine("10.2.0.0/16", "10.1.0.0/16", keys.1, keys.0)
        sending = try Lane(sender)
        receiving = try Lane(receiver)
    }

    /// One superpacket. Cutting writes over its headers, so each needs fresh ones; its payload is whatever is there.
    private func fill() {
        packets.removeAll()
        let count = Self.header + segments * Self.payload
        packets.append { (space: inout MutableRawSpan) in
            // IPv4, then TCP from 10.1.0.5:5001 to 10.2.0.6:5201 with ACK alone.
            let words: [UInt32] = [
                0x4500_0000 | UInt32(count), 0x0000_4000, 0x4006_0000, 0x0A01_0005, 0x0A02_0006,
                5001 << 16 | 5201, 1, 1, 0x5010_FFFF, 0,
            ]
            for (index, word) in words.enumerated() {
                space.storeBytes(of: word.bigEndian, toByteOffset: index * 4, as: UInt32.self)
            }
            let offload = Offload(
                kind: .tcp, segmentSize: UInt16(Self.payload), needsChecksum: true, checksumStart: 20,
                checksumOffset: 16)
            return (count: count, offload: offload)
        }
    }

    /// Nanoseconds a segment.
    func encapsulate(batches: Int) -> Double {
        let times = (0..<batches).map { _ in
            fill()
            datagrams.removeAll()
            return nanoseconds { sending.encapsulate(&packets, into: &datagrams, at: Self.time) }
        }
        return Samples.median(times) / Double(segments)
    }

    /// Nanoseconds a segment of a buffer as UDP_GRO hands it over.
    func decapsulate(batches: Int) -> Double {
        let times = (0..<batches).map { _ in
            fill()
            datagrams.removeAll()
            sending.encapsulate(&packets, into: &datagrams, at: Self.time)
            received.removeAll()
            datagrams.copy(to: &received, singly: false)
            opened.removeAll()
            let time = nanoseconds { receiving.decapsulate(&received, into: &opened, at: Self.time) }
            groups = opened.groups.count
            return time
        }
        return Samples.median(times) / Double(segments)
    }
}
