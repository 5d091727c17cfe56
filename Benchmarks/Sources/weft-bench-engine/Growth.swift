// SPDX-License-Identifier: Apache-2.0
@_spi(Benchmarks) import Weft

extension EngineBenchmark {
    /// From 1 to 10,000 networks and from 10 to 100,000 routes, always the same destination and random ones.
    static func growth(_ targets: inout Targets) throws {
        let shapes: [(networks: Int, routes: Int)] = [
            (1, 10), (1, 1_000), (1, 100_000), (10, 10), (100, 10), (1_000, 10), (10_000, 10),
        ]
        for size in [1400, 64] {
            print(
                "| \(size) bytes: networks | routes | same: encapsulate | decapsulate | random: bare seal | encapsulate "
                    + "| bare open | decapsulate |")
            print("| --- | --- | --- | --- | --- | --- | --- | --- |")
            let small = try Pair(networks: 1, routesEach: 10)
            for shape in shapes {
                let samples = try grow(size, shape.networks, shape.routes, beside: small)
                let medians = (0..<6).map(samples.median)
                row(
                    ["\(shape.networks)", "\(shape.networks * shape.routes)"]
                        + medians.map { ns($0) })
                if size == 1400, shape.networks == 10_000 { check(samples, &targets) }
            }
            print("")
        }
    }

    private static func check(_ samples: Samples, _ targets: inout Targets) {
        let name = "10,000 networks, 100,000 routes, 1,400 bytes"
        targets.check(
            "\(name): encapsulating to one, of the cost with 1 network", samples.ratio(0, 6),
            atMost: 1.3)
        targets.check(
            "\(name): decapsulating from one, of the cost with 1 network", samples.ratio(1, 7),
            atMost: 1.3)
        targets.check(
            "\(name): encapsulating to random ones, ns above 1.5 times the bare cipher's",
            samples.median(3) - 1.5 * samples.median(2), atMost: 60)
        targets.check(
            "\(name): decapsulating from random ones, ns above 1.5 times the bare cipher's",
            samples.median(5) - 1.5 * samples.median(4), atMost: 60)
    }

    /// Encapsulate and decapsulate to one destination; bare seal, encapsulate, bare open, decapsulate to random ones;
    /// encapsulate and decapsulate with a small pair, in the same rounds.
    private static func grow(
        _ size: Int, _ networks: Int, _ routesEach: Int, beside small: Pair
    ) throws -> Samples {
        let pair = try Pair(networks: networks, routesEach: routesEach)
        let bare = try BareCipher(.automatic, keys: networks)
        var random = Generator(state: 42)
        let order = (0..<64_000).map { _ in Int.random(in: 0..<pair.destinations, using: &random) }
        let keys = order.map { pair.network(of: $0) }
        let same = [Int](repeating: order[0], count: order.count)
        let zeros = [Int](repeating: 0, count: order.count)
        let samples = sample(
            rounds: 5,
            [
                { pair.encapsulate(size, same) }, { pair.decapsulate(size, same) },
                { batches(of: keys) { bare.seal(size, keys: $0) } },
                { pair.encapsulate(size, order) }, { batches(of: keys) { bare.open(size, keys: $0) } },
                { pair.decapsulate(size, order) },
                { small.encapsulate(size, zeros) }, { small.decapsulate(size, zeros) },
            ])
        let counts = pair.counts()
        if counts.dropped > 0 || counts.opened != UInt64(order.count * 10) {
            print("**\(counts.dropped) packets were dropped, \(counts.opened) opened: these figures mean nothing.**")
        }
        return samples
    }
}

/// Random numbers that are the same in every run (SplitMix64).
struct Generator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
