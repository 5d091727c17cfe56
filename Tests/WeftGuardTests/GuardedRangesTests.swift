// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftTestSupport

@testable import WeftGuard

struct GuardedRangesTests {
    /// Addresses of four bits, as the first ones of 10.0.0.0/28, so that all of them can be tried.
    @Test func saysWhatTheLongestPrefixSays() throws {
        var random = SeededGenerator.fresh()
        let seed = random.seed
        for _ in 0..<2000 {
            func prefixes(_ count: Int) -> Set<Prefix> {
                Set(
                    (0..<count).compactMap { _ in
                        Prefix(
                            IPAddress(v4: 0x0A00_0000 | .random(in: 0..<16, using: &random)),
                            length: .random(in: 28...32, using: &random))
                    })
            }
            let (guarded, others) = (
                prefixes(.random(in: 0..<4, using: &random)), prefixes(.random(in: 0..<5, using: &random))
            )
            let ranges = GuardedRanges.ranges(guarded, except: others)
            for number: UInt32 in 0..<16 {
                let address = IPAddress(v4: 0x0A00_0000 | number)
                let longest = guarded.union(others).filter { $0.contains(address) }.max { $0.length < $1.length }
                let expected = longest.map(guarded.contains) ?? false
                let found = ranges.contains { ($0.first...$0.last).contains(address) }
                #expect(found == expected, "\(address) in \(guarded) but \(others), seed \(seed)")
            }
            for (one, next) in zip(ranges, ranges.dropFirst()) {
                #expect(one.last.successor.map { $0 < next.first } == true, "\(ranges), seed \(seed)")
            }
        }
    }

    @Test(arguments: [
        (["0.0.0.0/0"], ["192.0.2.0/24"], "0.0.0.0-192.0.1.255, 192.0.3.0-255.255.255.255"),
        (["::/0"], [], "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        (
            ["::/0"], ["fe80::/64"],
            "::-fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff, fe80:0:0:1::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
        ),
        (["10.0.0.0/8"], ["0.0.0.0/0", "10.0.0.0/9", "10.0.0.0/8"], "10.128.0.0-10.255.255.255"),
        (
            ["10.1.0.0/16", "0.0.0.0/0"], ["10.0.0.0/8"],
            "0.0.0.0-9.255.255.255, 10.1.0.0-10.1.255.255, 11.0.0.0-255.255.255.255"
        ),
        (["255.255.255.255/32", "0.0.0.0/32"], [], "0.0.0.0, 255.255.255.255"),
        ([], ["10.0.0.0/8"], ""),
    ])
    func examples(guarded: [String], others: [String], expected: String) {
        let ranges = GuardedRanges.ranges(guarded.compactMap { Prefix($0) }, except: others.compactMap { Prefix($0) })
        #expect(ranges.map(\.description).joined(separator: ", ") == expected)
    }
}
