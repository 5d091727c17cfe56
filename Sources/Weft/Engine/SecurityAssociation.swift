// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// Both directions' keys of one virtual network, to be installed together.
public struct SAPair: Sendable {
    public let receiveSPI: UInt32
    public let receiveKey: PacketKey
    public let transmitSPI: UInt32
    public let transmitKey: PacketKey
    /// Both directions work up to and including this instant.
    public let expiry: Instant
    /// What datagrams that come bear, and those that go; nil for the VNI that is the network's own.
    public let receiveVNI: UInt32?
    public let transmitVNI: UInt32?

    public init(
        receiveSPI: UInt32, receiveKey: PacketKey, transmitSPI: UInt32, transmitKey: PacketKey, expiry: Instant,
        receiveVNI: UInt32? = nil, transmitVNI: UInt32? = nil
    ) {
        self.receiveSPI = receiveSPI
        self.receiveKey = receiveKey
        self.transmitSPI = transmitSPI
        self.transmitKey = transmitKey
        self.expiry = expiry
        self.receiveVNI = receiveVNI
        self.transmitVNI = transmitVNI
    }
}

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

/// The receive direction's security association, with the window that all lanes share.
final class ReceiveSA: Sendable {
    let vni: UInt32
    let spi: UInt32
    let key: PacketKey
    private let expiryNanoseconds: Atomic<UInt64>
    /// Held once per run of datagrams, never across a decryption.
    let window: Mutex<ReplayWindow>

    /// - Parameter highest: the highest counter that was received before; all up to it count as seen.
    init(vni: UInt32, spi: UInt32, key: PacketKey, expiry: Instant, after highest: UInt64 = 0) {
        self.vni = vni
        self.spi = spi
        self.key = key
        expiryNanoseconds = Atomic(expiry.nanoseconds)
        window = Mutex(ReplayWindow(after: highest))
    }

    var expiry: Instant { Instant(nanoseconds: expiryNanoseconds.load(ordering: .relaxed)) }

    /// Whether a datagram can't tell the two apart.
    func isNamed(as other: ReceiveSA) -> Bool { vni == other.vni && spi == other.spi }

    /// Sets a new expiry, for a key that was installed again.
    func renew(until instant: Instant) { expiryNanoseconds.store(instant.nanoseconds, ordering: .relaxed) }

    /// Brings the expiry forward; never puts it off.
    func expire(by instant: Instant) {
        if instant < expiry { expiryNanoseconds.store(instant.nanoseconds, ordering: .relaxed) }
    }
}
