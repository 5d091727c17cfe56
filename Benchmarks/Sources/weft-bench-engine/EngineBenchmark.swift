// SPDX-License-Identifier: Apache-2.0
@_spi(Benchmarks) import Weft

/// Nanoseconds per packet for sealing and opening, beside the bare cipher in the same run.
@main
enum EngineBenchmark {
    static let batch = 64
    static let rounds = 7

    static func main() throws {
        print("| inner bytes | bare seal | encapsulate | bare open | decapsulate |")
        print("| --- | --- | --- | --- | --- |")
        for size in [64, 512, 1400] {
            let bare = try BareCipher(.automatic)
            let pair = try Pair()
            var samples: [[Double]] = [[], [], [], []]
            for _ in 0..<rounds {
                samples[0].append(bare.seal(size, packets: 200_000))
                samples[1].append(pair.encapsulate(size, batches: 200_000 / batch))
                samples[2].append(bare.open(size, packets: 200_000))
                samples[3].append(pair.decapsulate(size, batches: 200_000 / batch))
            }
            let medians = samples.map { $0.sorted()[rounds / 2] }
            print("| \(size) | " + medians.map { format($0) }.joined(separator: " | ") + " |")
        }
    }

    static func format(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
}

/// Two engines that share keys: one seals, the other opens.
final class Pair {
    private let sender: Engine
    private let receiver: Engine
    private var sending: Lane
    private var receiving: Lane
    private var packets = FromOverlay()
    private var datagrams = ToUnderlay()
    private var received = FromUnderlay()
    private var opened = ToOverlay()

    init() throws {
        let keys = try (PacketKey([UInt8](repeating: 1, count: 16)), PacketKey([UInt8](repeating: 2, count: 16)))
        func engine(_ ours: String, _ theirs: String, _ send: PacketKey, _ receive: PacketKey) throws -> Engine {
            let engine = try Engine(EngineConfiguration())
            guard let source = Prefix(ours), let destination = Prefix(theirs) else { return engine }
            try engine.add(
                NetworkConfiguration(
                    vni: 7, endpoint: Endpoint("192.0.2.1:6081"),
                    routes: [Route(source: source, destination: destination)]))
            let pair = SAPair(
                receiveSPI: 1, receiveKey: receive, transmitSPI: 1, transmitKey: send, expiry: .distantFuture)
            try engine.install(pair, for: 7, at: Instant(nanoseconds: 1))
            return engine
        }
        sender = try engine("10.1.0.0/16", "10.2.0.0/16", keys.0, keys.1)
        receiver = try engine("10.2.0.0/16", "10.1.0.0/16", keys.1, keys.0)
        sending = try Lane(sender)
        receiving = try Lane(receiver)
    }

    private func fill(_ size: Int) {
        packets.removeAll()
        let header: [UInt8] = [
            0x45, 0, UInt8(size >> 8), UInt8(size & 255), 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 1, 0, 5, 10, 2, 0, 6,
        ]
        for _ in 0..<EngineBenchmark.batch {
            packets.append { space in
                for (index, byte) in header.enumerated() {
                    space.storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
                }
                return size
            }
        }
    }

    func encapsulate(_ size: Int, batches: Int) -> Double {
        fill(size)
        return nanoseconds(batches * EngineBenchmark.batch) {
            for _ in 0..<batches {
                datagrams.removeAll()
                sending.encapsulate(packets, into: &datagrams, at: Instant(nanoseconds: 1))
            }
        }
    }

    private func copy(to received: inout FromUnderlay) {
        let slot = received.slotSize
        for index in 0..<datagrams.datagrams.count {
            let place = datagrams.datagrams[index].place
            var memory = received.arena.mutableBytes
            for offset in stride(from: 0, to: place.count, by: 8) {
                let word = unsafe datagrams.arena.bytes.unsafeLoadUnaligned(
                    fromByteOffset: place.offset + offset, as: UInt64.self)
                memory.storeBytes(of: word, toByteOffset: index * slot + offset, as: UInt64.self)
            }
            received.datagrams.append(
                .init(
                    place: PacketRange(offset: index * slot, count: place.count),
                    source: Endpoint(IPAddress(v4: 0xC000_0201), port: 6081)))
        }
    }

    /// Datagrams are opened in place, so each round copies fresh ones; that copying is measured apart and taken off.
    func decapsulate(_ size: Int, batches: Int) -> Double {
        fill(size)
        let count = batches * EngineBenchmark.batch
        var total = 0.0
        for _ in 0..<batches {
            datagrams.removeAll()
            sending.encapsulate(packets, into: &datagrams, at: Instant(nanoseconds: 1))
            received.removeAll()
            copy(to: &received)
            opened.removeAll()
            total += nanoseconds(1) {
                receiving.decapsulate(&received, into: &opened, at: Instant(nanoseconds: 1))
            }
        }
        return total / Double(count)
    }
}

/// Nanoseconds that `body` takes for each of `count` things.
func nanoseconds(_ count: Int, _ body: () -> Void) -> Double {
    let clock = ContinuousClock()
    let time = clock.measure(body).components
    return (Double(time.seconds) * 1e9 + Double(time.attoseconds) / 1e9) / Double(count)
}
