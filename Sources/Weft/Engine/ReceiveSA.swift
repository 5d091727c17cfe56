// SPDX-License-Identifier: Apache-2.0
import Synchronization

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
