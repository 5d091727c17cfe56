// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// The transmit direction's security association. All lanes share it; each takes counters of its own.
final class TransmitSA: Sendable {
    let vni: UInt32
    let spi: UInt32
    let key: PacketKey
    let expiry: Instant
    /// The last counter taken.
    private let last: Atomic<UInt64>
    /// Counters up to this one may be taken now; 0 once it is stopped.
    private let ceiling: Atomic<UInt64>
    /// The last counter that may ever be taken.
    private let end: UInt64
    /// Which counters a person's key has taken; nil for keys that were agreed on.
    let carried: CarriedKey?

    /// - Parameters:
    ///   - after: the first counter taken is one above.
    ///   - sealedBefore: messages that earlier lives of this host sealed with the key.
    ///   - ceiling: the highest counter that may be taken until ``raiseCeiling(to:)``.
    ///   - carried: what was taken of a person's key before.
    init(
        vni: UInt32, spi: UInt32, key: PacketKey, expiry: Instant, after: UInt64 = 0,
        sealedBefore: UInt64 = 0, ceiling: UInt64 = .max, carried: CarriedKey? = nil
    ) {
        self.vni = vni
        self.spi = spi
        self.key = key
        self.expiry = expiry
        self.carried = carried
        last = Atomic(after)
        let room = SealingLimits.counter - min(after, SealingLimits.counter)
        end = SealingLimits.counter - room + min(SealingLimits.packets - min(sealedBefore, SealingLimits.packets), room)
        self.ceiling = Atomic(min(ceiling, end))
    }

    var lastCounter: UInt64 { last.load(ordering: .relaxed) }
    var currentCeiling: UInt64 { ceiling.load(ordering: .relaxed) }

    /// Does nothing once it is stopped.
    func raiseCeiling(to counter: UInt64) {
        var current = ceiling.load(ordering: .relaxed)
        while current != 0 {
            let (exchanged, original) = ceiling.weakCompareExchange(
                expected: current, desired: min(counter, end), ordering: .relaxed)
            if exchanged { return }
            current = original
        }
    }

    /// Seals nothing more, for good.
    func stop() { ceiling.store(0, ordering: .relaxed) }

    /// Whether it was stopped, since somebody else seals with the key.
    var isStopped: Bool { currentCeiling == 0 }

    /// Whether a counter was never taken here, nor by an earlier life of this host.
    func isForeign(_ counter: UInt64) -> Bool {
        guard let carried else { return false }
        // What we have sent ourselves was taken before it could come back.
        return counter > carried.usedBefore && (counter <= carried.start || counter > lastCounter)
    }

    /// Takes up to `count` counters that nobody else has or will have; fewer, or none, where they run out.
    @inline(__always)
    func reserve(_ count: Int) -> Range<UInt64> {
        // Relaxed is enough: uniqueness comes from the counter's own modification order, and nothing else is published.
        var current = last.load(ordering: .relaxed)
        while true {
            let limit = ceiling.load(ordering: .relaxed)
            let granted = current < limit ? min(UInt64(count), limit - current) : 0
            guard granted > 0 else { return 0..<0 }
            let (exchanged, original) = last.weakCompareExchange(
                expected: current, desired: current + granted, ordering: .relaxed)
            if exchanged { return current + 1..<current + 1 + granted }
            current = original
        }
    }
}
