// SPDX-License-Identifier: Apache-2.0
@_spi(Benchmarks) import Weft

/// Nanoseconds per packet for sealing and opening, beside the bare cipher in the same run: for single packets, for
/// superpackets, and for many networks and routes. Prints Markdown.
@main
enum EngineBenchmark {
    static let rounds = 7

    static func main() throws {
        let engine = try Engine(EngineConfiguration(lanes: 1))
        print("Nanoseconds a packet on one thread, medians of \(rounds) rounds; cipher: \(engine.cipherName).\n")
        var targets = Targets()
        try singlePackets(&targets)
        try superpackets()
        try identifying(&targets)
        try growth(&targets)
        targets.printAll()
    }

    /// Runs several measures in turn, round after round.
    static func sample(rounds: Int = rounds, _ measures: [() -> Double]) -> Samples {
        var samples = Samples(count: measures.count)
        for _ in 0..<rounds {
            for (index, measure) in measures.enumerated() { samples.values[index].append(measure()) }
        }
        return samples
    }

    /// Packets that one call of the engine gets.
    static let batch = 64

    /// Nanoseconds a packet: the median over batches of `order`, so that what else the machine does meanwhile counts
    /// little. `body` returns a batch's nanoseconds.
    static func batches(of order: [Int], _ body: (ArraySlice<Int>) -> Double) -> Double {
        var times: [Double] = []
        for start in stride(from: 0, to: order.count, by: batch) {
            let slice = order[start..<min(start + batch, order.count)]
            times.append(body(slice) / Double(slice.count))
        }
        return Samples.median(times)
    }

    private static func singlePackets(_ targets: inout Targets) throws {
        print("| inner bytes | bare seal | encapsulate | ratio | bare open | decapsulate | ratio |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        let pair = try Pair(networks: 1, routesEach: 1)
        let bare = try BareCipher(.automatic)
        let order = [Int](repeating: 0, count: 128_000)
        for size in [64, 512, 1400] {
            let samples = sample([
                { batches(of: order) { bare.seal(size, keys: $0) } }, { pair.encapsulate(size, order) },
                { batches(of: order) { bare.open(size, keys: $0) } }, { pair.decapsulate(size, order) },
            ])
            let (seal, open) = (samples.ratio(1, 0), samples.ratio(3, 2))
            row([
                "\(size)", ns(samples.median(0)), ns(samples.median(1)), ratio(seal), ns(samples.median(2)),
                ns(samples.median(3)), ratio(open),
            ])
            if size == 1400 {
                targets.check("Encapsulating 1,400 bytes, of the bare cipher", seal, atMost: 1.25)
                targets.check("Decapsulating 1,400 bytes, of the bare cipher", open, atMost: 1.25)
            } else if size == 64 {
                targets.check("Encapsulating 64 bytes, ns above the bare cipher", samples.difference(1, 0), atMost: 25)
                targets.check("Decapsulating 64 bytes, ns above the bare cipher", samples.difference(3, 2), atMost: 25)
            }
        }
        print("")
    }

    private static func superpackets() throws {
        print("| superpackets, ns a segment of 1,400 bytes | bare cipher | engine | ratio |")
        print("| --- | --- | --- | --- |")
        let bare = try BareCipher(.automatic)
        let one = [Int](repeating: 0, count: 96_000)
        let super48 = try Superpackets(segments: 48)
        let cutting = sample([
            { batches(of: one) { bare.seal(1400, keys: $0) } }, { super48.encapsulate(batches: 1_500) },
        ])
        row([
            "64 KiB of TCP: cut into \(super48.segments), checksummed, sealed", ns(cutting.median(0)),
            ns(cutting.median(1)), ratio(cutting.ratio(1, 0)),
        ])
        let super44 = try Superpackets(segments: 44)
        let opening = sample([
            { batches(of: one) { bare.open(1400, keys: $0) } }, { super44.decapsulate(batches: 1_500) },
        ])
        row([
            "a GRO buffer of \(super44.segments): opened, checksums looked at, coalesced", ns(opening.median(0)),
            ns(opening.median(1)), ratio(opening.ratio(1, 0)),
        ])
        print("")
        if super44.groups != 1 { print("**The buffer became \(super44.groups) superpackets, not one.**\n") }
    }

    static func row(_ cells: [String]) { print("| " + cells.joined(separator: " | ") + " |") }
    static func ns(_ value: Double) -> String { decimals(value, 1) }
    static func ratio(_ value: Double) -> String { decimals(value, 2) }

    static func decimals(_ value: Double, _ digits: Int) -> String {
        let scale = digits == 1 ? 10.0 : 100.0
        let whole = Int((abs(value) * scale).rounded())
        let rest = String(whole % Int(scale))
        let zeros = String(repeating: "0", count: digits - rest.count)
        return (value < 0 ? "-" : "") + "\(whole / Int(scale)).\(zeros)\(rest)"
    }
}

/// Values of several measures, by round.
struct Samples {
    var values: [[Double]]

    init(count: Int) { values = [[Double]](repeating: [], count: count) }

    func median(_ index: Int) -> Double { Self.median(values[index]) }

    /// The median of a round's ratios: both values of a ratio so come from the same moments.
    func ratio(_ above: Int, _ below: Int) -> Double {
        Self.median(zip(values[above], values[below]).map { $0 / $1 })
    }

    func difference(_ first: Int, _ second: Int) -> Double {
        Self.median(zip(values[first], values[second]).map { $0 - $1 })
    }

    static func median(_ values: [Double]) -> Double {
        let sorted = values.sorted()
        return sorted.isEmpty ? .nan : sorted[sorted.count / 2]
    }
}

/// What was promised, and whether it holds.
struct Targets {
    private var rows: [[String]] = []

    mutating func check(_ text: String, _ value: Double, atMost limit: Double) {
        let isMet = value <= limit
        rows.append([
            text, "≤ \(EngineBenchmark.ratio(limit))", EngineBenchmark.ratio(value), isMet ? "yes" : "**no**",
        ])
    }

    func printAll() {
        print("| What it must show | wanted | found | met |")
        print("| --- | --- | --- | --- |")
        for row in rows { EngineBenchmark.row(row) }
    }
}

/// Nanoseconds that `body` takes.
func nanoseconds(_ body: () -> Void) -> Double {
    let start = SystemCall.now().nanoseconds
    body()
    return Double(SystemCall.now().nanoseconds - start)
}
