// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// What is known of the counters of a transmit key that a person carried to both ends: he may have carried it to the wrong place.
///
/// A file that was copied to the other end without exchanging its keys has both ends seal with one key, and two packets under one counter
/// give each other's contents away. So each start leaves out a random number of counters, which keeps the ends apart for long enough that
/// what comes first of the other end shows it: it opens with our key to send, under a counter that we never used. Nobody without the key can
/// make such a datagram; what is recorded of ours and sent back to us bears a counter of ours, and does no harm.
final class CarriedKey: Sendable {
    /// Counters up to this one may have been taken by earlier lives of this host.
    let usedBefore: UInt64
    /// This life takes those above.
    let start: UInt64
    /// When a datagram may be tried next, in nanoseconds.
    private let nextTrial = Atomic<UInt64>(0)

    /// Trials are this far apart, so that a flood of forged datagrams doesn't have each decrypted again.
    private static let pause: UInt64 = 1_000_000

    init(usedBefore: UInt64, start: UInt64) {
        self.usedBefore = usedBefore
        self.start = start
    }

    /// Whether a datagram that didn't open may be tried with the key that we send with. Of several threads that ask at once, one may.
    func mayTry(at now: Instant) -> Bool {
        let due = nextTrial.load(ordering: .relaxed)
        guard now.nanoseconds >= due else { return false }
        let following = now.advanced(byNanoseconds: Self.pause).nanoseconds
        return nextTrial.compareExchange(expected: due, desired: following, ordering: .relaxed).exchanged
    }
}
