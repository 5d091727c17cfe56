// SPDX-License-Identifier: Apache-2.0

/// The anti-replay window of RFC 6479: a ring of bit blocks that slides without shifting.
///
/// 128 blocks of 64 bits, of which one is being cleared: counters up to 8,128 behind the highest are in the window.
struct ReplayWindow: ~Copyable {
    static let width: UInt64 = 8128
    /// Counters from here on are never accepted, so that the highest counter can't overflow.
    static let limit: UInt64 = .max - (1 << 13)
    private static let blockCount = 128

    private var blocks: InlineArray<128, UInt64>
    /// The highest counter accepted so far.
    private(set) var highest: UInt64 = 0

    /// An empty window: every counter below ``limit`` is new.
    init() { blocks = InlineArray(repeating: 0) }

    /// A window that has seen every counter up to and including `highest`.
    init(after highest: UInt64) {
        blocks = InlineArray(repeating: highest == 0 ? 0 : .max)
        self.highest = min(highest, Self.limit - 1)
        // Counters above the highest are new, also those that share its block.
        let bit = self.highest & 63
        if highest > 0, bit < 63 { blocks[Self.index(self.highest >> 6)] = (1 << (bit + 1)) - 1 }
    }

    @inline(__always)
    private static func index(_ block: UInt64) -> Int { Int(truncatingIfNeeded: block & UInt64(blockCount - 1)) }

    /// Accepts a counter once. Call it only for packets whose tag verified.
    @inline(__always)
    mutating func accept(_ counter: UInt64) -> Bool {
        guard counter < Self.limit else { return false }
        let block = counter >> 6
        if counter > highest {
            let current = highest >> 6
            var steps = min(block - current, UInt64(Self.blockCount))
            var next = current
            while steps > 0 {
                next &+= 1
                steps &-= 1
                blocks[Self.index(next)] = 0
            }
            highest = counter
        } else if highest - counter > Self.width {
            return false
        }
        let bit: UInt64 = 1 << (counter & 63)
        let seen = blocks[Self.index(block)]
        blocks[Self.index(block)] = seen | bit
        return seen & bit == 0
    }
}
