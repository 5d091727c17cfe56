// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import Weft
import WeftUDP

/// The way of datagrams that the program left to the kernel: fragments, tagged frames and superpackets come out of its
/// UDP socket whole and go through the same engine into the overlay; other kinds of packets go to their streams.
final class KernelPath: Sendable {
    /// Milliseconds between looks at the newest snapshot.
    private static let patience: Int32 = 500

    private let receiver: UDPReceiver
    private let datagrams = Atomic<UInt64>(0)

    /// Datagrams that came this way.
    var count: UInt64 { datagrams.load(ordering: .relaxed) }

    init(_ socket: UDPSocket, wake: WakeEvent) { receiver = UDPReceiver(socket, wake: wake) }

    /// Hands what comes to `end` until `isClosing`.
    func run(
        into end: inout FromUnderlayEnd, clock: () -> Instant, isClosing: () -> Bool
    ) throws(TransportError) {
        var batch = FromUnderlay()
        while !isClosing() {
            batch.removeAll()
            try receiver.receive(into: &batch, timeout: Self.patience)
            datagrams.store(
                datagrams.load(ordering: .relaxed) &+ UInt64(batch.buffers.count), ordering: .relaxed)
            end.send(&batch, at: clock())
        }
    }
}
