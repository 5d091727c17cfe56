// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft
@_spi(Benchmarks) import WeftTunnelMap

/// How long a tunnel map takes to load and to change, what it keeps in memory, and what a packet costs. Needs root.
@main
enum MapBenchmark {
    static func main() {
        do {
            try load(16_384)
            try cost()
            try memory(1_000_000)
        } catch {
            print("weft-bench-map: \(error)")
            exit(1)
        }
    }

    static func map(_ capacity: Int) throws -> TunnelMap {
        var options = TunnelMap.Options(name: nil)
        options.capacity = capacity
        return try TunnelMap.load(options)
    }

    static func nexthop(_ number: Int) -> Nexthop {
        Nexthop(
            remote: IPAddress(v4: 0xC000_0200 | UInt32(number)), interface: "lo", protocol: .plain,
            peer: "peer\(number)")
    }

    static func seconds(_ body: () throws -> Void) rethrows -> Double {
        let start = ContinuousClock.now
        try body()
        let (whole, part) = (ContinuousClock.now - start).components
        return Double(whole) + Double(part) * 1e-18
    }

    static func text(_ value: Double, _ digits: Int = 2) -> String {
        let scale = [1.0, 10, 100, 1000][digits]
        return "\((value * scale).rounded() / scale)"
    }

    /// Prefixes of 24 bits over 64 groups of 4 nexthops.
    static func entries(_ count: Int) -> [TunnelMapEntry] {
        let lists = (0..<64).map { first in (0..<4).map { nexthop(1 + (first + $0 * 7) % 64) } }
        return (0..<count).compactMap { number in
            Prefix(IPAddress(v4: UInt32(number + 0x1_0000) << 8), length: 24).map {
                TunnelMapEntry(prefix: $0, nexthops: lists[number % lists.count])
            }
        }
    }

    private static func load(_ count: Int) throws {
        let all = entries(count)
        print("| \(count) prefixes | batched | one at a time | times faster |\n| --- | --- | --- | --- |")
        var ratios: [Double] = []
        for round in 0..<5 {
            let one = try map(count), other = try map(count)
            func batched() throws -> Double { try seconds { try one.reconcile(all) } }
            func single() throws -> Double { try seconds { for entry in all { try other.update(entry) } } }
            let first = round % 2 == 0 ? try batched() : try single()
            let second = round % 2 == 0 ? try single() : try batched()
            let (fast, slow) = round % 2 == 0 ? (first, second) : (second, first)
            ratios.append(slow / fast)
            print("| round \(round) | \(text(fast * 1000)) ms | \(text(slow * 1000)) ms | \(text(slow / fast)) |")
            if round > 0 { continue }
            let again = try seconds { try one.reconcile(all) }
            var changed = all
            for index in 0..<10 { changed[index * 100].nexthops = all[index * 100 + 1].nexthops }
            let same = try one.reconcile(all), ten = try one.reconcile(changed)
            print("| nothing changed | \(text(again * 1000)) ms, \(same.writes) writes | | |")
            print("| 10 changed | \(ten.changed) changed, \(ten.writes) writes | | |")
        }
        print("| median | | | \(text(ratios.sorted()[2])) |\n")
    }

    /// To one address again and again is what a test run can do; the address is another in each run.
    private static func cost() throws {
        print("| prefixes | nexthops | ns per packet |\n| --- | --- | --- |")
        for count in [1, 16_384, 262_144] {
            for nexthops in [1, 4, 16] {
                let map = try map(max(count, 16))
                let list = (1...nexthops).map { nexthop($0) }
                try map.reconcile(
                    entries(count).map { TunnelMapEntry(prefix: $0.prefix, nexthops: list) })
                var frames: [[UInt8]] = []
                for index in 0..<32 {
                    let address = UInt32(0x1_0000 + index * count / 32) << 8 | 1
                    frames.append(frame(to: address))
                }
                var best: [Int] = []
                for frame in frames { best.append(try map.measure(frame, repetitions: 100_000)) }
                print("| \(count) | \(nexthops) | \(best.sorted()[best.count / 2]) |")
            }
        }
        let none = try map(16)
        print("| 0 (left to the kernel) | | \(try none.measure(frame(to: 0x0A00_0001), repetitions: 100_000)) |\n")
    }

    private static func frame(to address: UInt32) -> [UInt8] {
        let destination = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: address >> UInt32($0)) }
        return [UInt8](repeating: 2, count: 12) + [8, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1]
            + destination
            + [0x80, 1, 0, 80] + [UInt8](repeating: 0, count: 16)
    }

    private static func field(_ name: String, of path: String) -> Int {
        guard let file = unsafe fopen(path, "r") else { return 0 }
        defer { unsafe fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        while unsafe fgets(&line, 256, file) != nil {
            let words = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
                .split { $0 == " " || $0 == "\t" || $0 == "\n" }
            if words.first == Substring(name), words.count > 1 { return Int(words[1]) ?? 0 }
        }
        return 0
    }

    /// All that the machine has less afterwards: the process and the kernel's maps.
    private static func memory(_ count: Int) throws {
        let before = field("MemAvailable:", of: "/proc/meminfo")
        let map = try map(count)
        var time = 0.0
        do {
            let all = entries(count)
            time = try seconds { try map.reconcile(all) }
        }
        let used = before - field("MemAvailable:", of: "/proc/meminfo")
        let own = field("VmRSS:", of: "/proc/self/status"), peak = field("VmHWM:", of: "/proc/self/status")
        print("| \(count) prefixes | |\n| --- | --- |\n| loaded in | \(text(time)) s |")
        print("| the process | \(own / 1024) MB, at most \(peak / 1024) MB |")
        print("| process and kernel | \(used / 1024) MB |")
        // Its destinations are spread over all prefixes.
        var costs: [Int] = []
        for index in 0..<64 {
            costs.append(
                try map.measure(frame(to: UInt32(0x1_0000 + index * count / 64) << 8 | 1), repetitions: 20_000))
        }
        print("| a packet | \(costs.sorted()[32]) ns |")
        print("| capacity | \(map.capacity) |")
    }
}
