// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Testing

@testable import WeftTUN

@Suite("TUN offloads are negotiated step by step")
struct CapabilityTests {
    /// A kernel that refuses some flags, and keeps the last that it accepted.
    private final class Kernel {
        let refused: Int32
        private(set) var flags: UInt32 = 0
        private(set) var asked: [UInt32] = []

        init(refusing refused: Int32) { self.refused = refused }

        func accepts(_ wanted: UInt32) -> Bool {
            asked.append(wanted)
            // As Linux: segmentation needs the checksum; USO6 comes with USO4.
            if wanted & UInt32(refused) != 0 || wanted != 0 && wanted & UInt32(TUN_F_CSUM) == 0 { return false }
            flags = wanted
            return true
        }
    }

    private func negotiate(refusing refused: Int32, _ wanted: TUNCapabilities = .all) -> (TUNCapabilities, Kernel) {
        let kernel = Kernel(refusing: refused)
        return (TUNCapabilities.negotiate(wanted, kernel.accepts), kernel)
    }

    private static let everything = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_USO4 | TUN_F_USO6

    @Test("all of them where nothing is refused")
    func all() {
        let (agreed, kernel) = negotiate(refusing: 0)
        #expect(agreed == .all)
        #expect(kernel.flags == UInt32(Self.everything) && kernel.flags == 0x6F)
        #expect(agreed.description == "checksum tso4 tso6 ecn uso")
    }

    @Test("a refused one costs itself, and the kernel is left with the others")
    func one() {
        let cases: [(Int32, WritableKeyPath<TUNCapabilities, Bool>, Int32)] = [
            (TUN_F_TSO4, \.tso4, TUN_F_TSO4), (TUN_F_TSO6, \.tso6, TUN_F_TSO6), (TUN_F_TSO_ECN, \.ecn, TUN_F_TSO_ECN),
            (TUN_F_USO4, \.uso, TUN_F_USO4 | TUN_F_USO6), (TUN_F_USO6, \.uso, TUN_F_USO4 | TUN_F_USO6),
        ]
        for (refused, capability, missing) in cases {
            var expected = TUNCapabilities.all
            expected[keyPath: capability] = false
            let (agreed, kernel) = negotiate(refusing: refused)
            #expect(agreed == expected)
            #expect(kernel.flags == UInt32(Self.everything & ~missing))
        }
    }

    @Test("without the checksum there is only the header; without TSO no ECN is asked for")
    func dependencies() {
        let (bare, kernel) = negotiate(refusing: TUN_F_CSUM)
        #expect(bare.header && bare.description == "no offloads")
        #expect(kernel.asked == [UInt32(TUN_F_CSUM)] && kernel.flags == 0)
        let (noTSO, other) = negotiate(refusing: TUN_F_TSO4 | TUN_F_TSO6)
        #expect(noTSO.checksum && noTSO.uso && !noTSO.tso4 && !noTSO.tso6 && !noTSO.ecn)
        #expect(!other.asked.contains { $0 & UInt32(TUN_F_TSO_ECN) != 0 })
    }

    @Test("what isn't wanted isn't asked for")
    func unwanted() {
        for capability in [\TUNCapabilities.tso4, \.tso6, \.ecn, \.uso, \.checksum] {
            var wanted = TUNCapabilities.all
            wanted[keyPath: capability] = false
            let (agreed, _) = negotiate(refusing: 0, wanted)
            #expect(!agreed[keyPath: capability] && agreed.header)
        }
        var nothing = TUNCapabilities()
        nothing.header = true
        let (agreed, kernel) = negotiate(refusing: 0, nothing)
        #expect(agreed == nothing && kernel.asked.isEmpty)
    }

    @Test("superpackets are taken only of the kinds that were agreed")
    func takes() {
        var some = TUNCapabilities.all
        some.tso6 = false
        #expect(some.takes(true, isV4: true) && !some.takes(true, isV4: false) && some.takes(false, isV4: false))
        some.uso = false
        #expect(!some.takes(false, isV4: true))
        #expect(!TUNCapabilities().takes(true, isV4: true))
    }
}
