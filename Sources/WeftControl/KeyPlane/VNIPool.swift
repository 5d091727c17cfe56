// SPDX-License-Identifier: Apache-2.0
import Weft

/// Hands out VNIs, the whole 24-bit space but 0, round robin, none twice.
///
/// A VNI that is given back is nobody's until its time is over, in which an SA under it may still live somewhere.
struct VNIPool {
    static let count = (1 << 24) - 1

    /// One bit for each VNI that is held or in quarantine.
    private var taken: [UInt64]
    private var cursor: UInt32
    private(set) var free: Int
    /// What was given back, in the order of its release.
    private var quarantine = FIFO<Quarantined>()

    private struct Quarantined {
        let vni: UInt32
        let owner: UInt32
        let until: Instant
    }

    /// - Parameter first: where the round begins; 1...2^24 - 1.
    init(first: UInt32 = 1) {
        taken = [UInt64](repeating: 0, count: 1 << 18)
        // Nobody's ever: 0 isn't a network.
        taken[0] = 1
        cursor = first
        free = Self.count
    }

    /// How many wait for the end of their quarantine.
    var quarantined: Int { quarantine.count }

    /// The next VNI of the round; nil when all are taken.
    mutating func take() -> UInt32? {
        guard free > 0 else { return nil }
        var word = Int(cursor >> 6)
        // Numbers below the cursor come last.
        var open = ~taken[word] & (~0 << UInt64(cursor & 63))
        // One more than there are words: the first is looked at twice, from the cursor on and whole.
        for _ in 0...taken.count {
            if open != 0 {
                let bit = open.trailingZeroBitCount
                taken[word] |= 1 << UInt64(bit)
                free -= 1
                let vni = UInt32(word << 6 | bit)
                cursor = (vni + 1) & 0xFF_FFFF
                return vni
            }
            word = (word + 1) & (taken.count - 1)
            open = ~taken[word]
        }
        return nil
    }

    /// Takes a VNI that is in use already; whether it was free.
    mutating func take(_ vni: UInt32) -> Bool {
        let word = Int(vni >> 6)
        let bit = UInt64(1) << UInt64(vni & 63)
        guard (1..<1 << 24).contains(vni), taken[word] & bit == 0 else { return false }
        taken[word] |= bit
        free -= 1
        return true
    }

    /// Takes a VNI back that is free again once `until` is over. `until` never goes back from call to call.
    mutating func release(_ vni: UInt32, owner: UInt32, until: Instant) {
        quarantine.append(Quarantined(vni: vni, owner: owner, until: until))
    }

    /// Frees what has waited long enough, and tells whose it was.
    mutating func advance(to now: Instant, _ freed: (_ owner: UInt32) -> Void) {
        while let oldest = quarantine.first, now > oldest.until {
            open(oldest.vni)
            freed(oldest.owner)
            _ = quarantine.popFirst()
        }
    }

    private mutating func open(_ vni: UInt32) {
        taken[Int(vni >> 6)] &= ~(1 << UInt64(vni & 63))
        free += 1
    }
}
