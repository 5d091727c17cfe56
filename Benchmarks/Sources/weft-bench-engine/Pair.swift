// SPDX-License-Identifier: Apache-2.0
@_spi(Benchmarks) import Weft

/// Two engines that share the keys of as many networks as wanted: one seals, the other opens.
final class Pair {
    private static let time = Instant(nanoseconds: 1)

    /// Destinations that packets can be sent to, over all networks.
    let destinations: Int
    private let routesEach: Int
    private let sender: Engine
    private let receiver: Engine
    private var sending: Lane
    private var receiving: Lane
    /// Room for a whole batch of the longest packets.
    private var packets = FromOverlay(room: 256 * 1024)
    private var datagrams = ToUnderlay()
    private var received = FromUnderlay(capacity: EngineBenchmark.batch, slotSize: 2048)
    private var opened = ToOverlay()

    /// - Parameter routesEach: destination prefixes of each network, /24 to /32 mixed.
    init(networks: Int, routesEach: Int) throws {
        destinations = networks * routesEach
        self.routesEach = routesEach
        let configuration = EngineConfiguration(lanes: 1)
        sender = try Engine(configuration)
        receiver = try Engine(configuration)
        guard let ours = Prefix("10.1.0.0/16"), let endpoint = Endpoint("192.0.2.1:6081") else {
            throw EngineError.zeroSPI
        }
        var sides: ([(configuration: NetworkConfiguration, keys: SAPair)], [(NetworkConfiguration, SAPair)]) = ([], [])
        for network in 0..<networks {
            let theirs = (0..<routesEach).compactMap { Self.prefix(network * routesEach + $0) }
            let keys = try (Self.key(network, 1), Self.key(network, 2))
            func side(_ routes: [Route], _ send: PacketKey, _ receive: PacketKey) -> (NetworkConfiguration, SAPair) {
                (
                    NetworkConfiguration(vni: UInt32(network + 1), endpoint: endpoint, routes: routes),
                    SAPair(
                        receiveSPI: 1, receiveKey: receive, transmitSPI: 1, transmitKey: send, expiry: .distantFuture)
                )
            }
            sides.0.append(side(theirs.map { Route(source: ours, destination: $0) }, keys.0, keys.1))
            sides.1.append(side(theirs.map { Route(source: $0, destination: ours) }, keys.1, keys.0))
        }
        try sender.add(sides.0)
        try receiver.add(sides.1)
        sending = try Lane(sender)
        receiving = try Lane(receiver)
    }

    private static func key(_ network: Int, _ direction: UInt8) throws -> PacketKey {
        try PacketKey((0..<16).map { UInt8(truncatingIfNeeded: network >> ($0 % 4 * 8)) &+ direction &* 16 &+ $0 })
    }

    /// 256 addresses apart, from 20.0.0.0 on.
    private static func address(_ destination: Int) -> UInt32 { 20 << 24 + UInt32(destination) << 8 }

    private static func prefix(_ destination: Int) -> Prefix? {
        Prefix(IPAddress(v4: address(destination)), length: 24 + destination % 9)
    }

    /// Which network's key a destination takes.
    func network(of destination: Int) -> Int { destination / routesEach }

    private func fill(_ size: Int, _ order: ArraySlice<Int>) {
        packets.removeAll()
        for destination in order {
            packets.append { (space: inout MutableRawSpan) in
                func store(_ value: UInt32, at offset: Int) {
                    space.storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self)
                }
                // An IPv4 header, UDP, from 10.1.0.5.
                store(0x4500_0000 | UInt32(size), at: 0)
                store(0x0000_4000, at: 4)
                store(0x4011_0000, at: 8)
                store(0x0A01_0005, at: 12)
                store(Self.address(destination), at: 16)
                return size
            }
        }
    }

    /// Nanoseconds a packet, one to each destination of `order`.
    func encapsulate(_ size: Int, _ order: [Int]) -> Double {
        EngineBenchmark.batches(of: order) { slice in
            fill(size, slice)
            datagrams.removeAll()
            return nanoseconds { sending.encapsulate(&packets, into: &datagrams, at: Self.time) }
        }
    }

    /// As ``encapsulate(_:_:)``, for opening what was sealed.
    func decapsulate(_ size: Int, _ order: [Int]) -> Double {
        EngineBenchmark.batches(of: order) { slice in
            fill(size, slice)
            datagrams.removeAll()
            sending.encapsulate(&packets, into: &datagrams, at: Self.time)
            received.removeAll()
            datagrams.copy(to: &received, singly: true)
            opened.removeAll()
            return nanoseconds { receiving.decapsulate(&received, into: &opened, at: Self.time) }
        }
    }

    /// Packets that came through, and those that were dropped anywhere: a benchmark of drops would be worth nothing.
    func counts() -> (opened: UInt64, dropped: UInt64) {
        let drops = [sender.totals().drops, receiver.totals().drops].flatMap(\.values).reduce(0, +)
        return (receiver.totals().rxPackets, drops)
    }
}

extension ToUnderlay {
    /// Hands over what was sealed as if it had been received: runs as the kernel's GRO would, or datagrams one by one.
    func copy(to received: inout FromUnderlay, singly: Bool) {
        for index in 0..<runs.count {
            let run = runs[index]
            let step = singly ? run.segmentSize : run.place.count
            for offset in stride(from: 0, to: run.place.count, by: step) {
                let count = min(step, run.place.count - offset)
                let start = received.buffers.count * received.slotSize
                let from = arena.bytes.extracting(run.place.offset + offset..<run.place.offset + offset + count)
                var memory = received.arena.mutableBytes
                for position in stride(from: 0, to: count, by: 8) {
                    if position + 8 <= count {
                        let word = unsafe from.unsafeLoadUnaligned(fromByteOffset: position, as: UInt64.self)
                        memory.storeBytes(of: word, toByteOffset: start + position, as: UInt64.self)
                    } else {
                        for byte in position..<count {
                            let value = unsafe from.unsafeLoad(fromByteOffset: byte, as: UInt8.self)
                            memory.storeBytes(of: value, toByteOffset: start + byte, as: UInt8.self)
                        }
                    }
                }
                received.buffers.append(
                    .init(
                        place: PacketRange(offset: start, count: count), segmentSize: run.segmentSize,
                        source: run.destination))
            }
        }
    }
}
