// SPDX-License-Identifier: Apache-2.0
@_spi(Benchmarks) import Weft

extension EngineBenchmark {
    /// What it costs to tell datagrams of data from other kinds, beside decapsulating them in the same rounds.
    static func identifying(_ targets: inout Targets) throws {
        let pair = try Pair(networks: 1, routesEach: 1)
        let order = [Int](repeating: 0, count: 64_000)
        let single = Identifying(merged: false)
        let merged = Identifying(merged: true)
        let samples = sample([
            { pair.decapsulate(1400, order) }, { single.run(batches: 1000) },
            { merged.run(batches: 1000) },
        ])
        print("| ns a datagram of 1,400 inner bytes | time | of decapsulating |")
        print("| --- | --- | --- |")
        row(["decapsulate", ns(samples.median(0)), "1.00"])
        row(["identify, one by one", ns(samples.median(1)), ratio(samples.ratio(1, 0))])
        row(["identify, in a GRO buffer", ns(samples.median(2)), ratio(samples.ratio(2, 0))])
        print("")
        targets.check("Identifying data one by one, of decapsulating 1,400 bytes", samples.ratio(1, 0), atMost: 0.03)
        targets.check("Identifying data in a buffer, of decapsulating 1,400 bytes", samples.ratio(2, 0), atMost: 0.03)
    }
}

/// A batch of data as a socket hands it over, to be partitioned by kind.
private final class Identifying {
    private static let datagram = 1400 + 48
    private static let perBuffer = 44
    private let batch: FromUnderlay
    private let datagrams: Int

    init(merged: Bool) {
        let buffers = merged ? 1 : EngineBenchmark.batch
        datagrams = merged ? Self.perBuffer : buffers
        var batch = FromUnderlay(capacity: buffers, slotSize: merged ? 65_536 : 2048)
        var bytes = batch.arena.mutableBytes
        for index in 0..<(merged ? Self.perBuffer : buffers) {
            // Version 0, six words of options, critical, IPv4, VNI 7.
            bytes.storeBytes(
                of: UInt64(0x0640_0800_0000_0700).bigEndian,
                toByteOffset: index * (merged ? Self.datagram : 2048), as: UInt64.self)
        }
        let source = Endpoint(IPAddress(v4: 1), port: 1)
        for index in 0..<buffers {
            let place = PacketRange(
                offset: index * 2048, count: merged ? Self.perBuffer * Self.datagram : Self.datagram)
            batch.buffers.append(.init(place: place, segmentSize: Self.datagram, source: source))
        }
        self.batch = batch
    }

    /// Nanoseconds a datagram.
    func run(batches: Int) -> Double {
        var times: [Double] = []
        var found = 0
        // A clock's reading costs more than a batch: ten batches share one.
        for _ in 0..<batches / 10 {
            times.append(
                nanoseconds {
                    for _ in 0..<10 { found += Partition.isAllData(batch) ? 1 : 0 }
                })
        }
        // What is used can't be left out; what is wrong must not be measured.
        return found == times.count * 10 ? Samples.median(times) / Double(10 * datagrams) : .nan
    }
}
