// SPDX-License-Identifier: Apache-2.0
import CWeftTunnelMap
import Weft

/// The classifier's choice once more, for whoever wants to know where a flow goes and why.
///
/// Weighted highest random weight: each nexthop draws a number u in (0, 1) from the flow and its own seed, and the one with the
/// lowest -log2(u) / weight has the flow.
public enum Choice {
    /// A nexthop as the choice sees it.
    public struct Candidate: Hashable, Sendable {
        public var seed: UInt64
        public var weight: UInt32
        public var isHealthy: Bool
        public var isDraining: Bool

        public init(seed: UInt64, weight: UInt32, isHealthy: Bool, isDraining: Bool) {
            self.seed = seed
            self.weight = weight
            self.isHealthy = isHealthy
            self.isDraining = isDraining
        }
    }

    /// The index of the candidate that a flow goes to; nil if none is healthy.
    ///
    /// - Parameter isProbe: health and draining don't matter.
    public static func index(of flow: UInt64, among candidates: [Candidate], isProbe: Bool = false) -> Int? {
        let eligible = candidates.indices.filter { isProbe || candidates[$0].isHealthy }
        let serving = eligible.filter { isProbe || !candidates[$0].isDraining }
        let pool = serving.isEmpty ? eligible : serving
        return pool.min { left, right in
            let (a, b) = (candidates[left], candidates[right])
            // cost / weight, without dividing.
            let first = cost(of: flow, a.seed) * UInt64(b.weight)
            let second = cost(of: flow, b.seed) * UInt64(a.weight)
            return (first, a.seed) < (second, b.seed)
        }
    }

    /// -log2(u) with 30 fractional bits: at most 2^35.
    public static func cost(of flow: UInt64, _ seed: UInt64) -> UInt64 {
        let draw = UInt32(truncatingIfNeeded: Flow.finish(flow ^ seed) >> 32) | 1
        let one: UInt64 = 1 << 30
        let bit = UInt64(31 - draw.leadingZeroBitCount)
        let x = (UInt64(draw) << (31 - bit) & 0x7FFF_FFFF) >> 1
        func product(_ left: UInt64, _ right: UInt64) -> UInt64 { (left * right) >> 30 }
        let factor = UInt64(WEFT_LOG_A) - product(x, UInt64(WEFT_LOG_B) - product(x, UInt64(WEFT_LOG_C)))
        return ((32 - bit) << 30) - x - product(product(x, one - x), factor)
    }
}

extension Nexthop {
    /// What stands for the nexthop in the choice: made of where it leads, and of neither its peer's name nor its weight.
    public var seed: UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        func mix(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        (remote?.bytes ?? []).forEach(mix)
        for shift in [24, 16, 8, 0] { mix(UInt8(truncatingIfNeeded: vni >> UInt32(shift))) }
        mix(UInt8(truncatingIfNeeded: `protocol`.number))
        interface.utf8.forEach(mix)
        return Flow.finish(hash)
    }
}
