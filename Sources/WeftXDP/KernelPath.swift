// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Synchronization
import Weft
import WeftUDP

/// The way of datagrams that the program left to the kernel: fragments, tagged frames and superpackets come out of its
/// UDP socket whole, go through the same engine, and enter the overlay by a packet socket.
final class KernelPath: Sendable {
    /// Milliseconds between looks at the newest snapshot.
    private static let patience: Int32 = 500

    private let receiver: UDPReceiver
    private let output: FileDescriptor
    private let datagrams = Atomic<UInt64>(0)

    /// Datagrams that came this way.
    var count: UInt64 { datagrams.load(ordering: .relaxed) }

    /// - Parameter overlay: the pair's end whose frames the host's end receives.
    init(_ socket: UDPSocket, overlay: Int32, wake: WakeEvent) throws(TransportError) {
        receiver = UDPReceiver(socket, wake: wake)
        // Protocol 0: it only sends.
        let raw = try SystemCall.retrying("open a packet socket") {
            Glibc.socket(AF_PACKET, Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        }
        output = FileDescriptor(owning: raw)
        var address = sockaddr_ll()
        address.sll_family = UInt16(AF_PACKET)
        address.sll_ifindex = overlay
        try SystemCall.retrying("bind a packet socket") {
            // Safe: every socket address begins with the same field, and the length says how much of it counts.
            unsafe withUnsafePointer(to: &address) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe bind(raw, $0, socklen_t(MemoryLayout<sockaddr_ll>.size))
                }
            }
        }
    }

    /// Opens what comes until `isClosing`.
    func run(_ lane: inout Lane, clock: () -> Instant, isClosing: () -> Bool) throws(TransportError) {
        var batch = FromUnderlay()
        while !isClosing() {
            batch.removeAll()
            try receiver.receive(into: &batch, timeout: Self.patience)
            lane.refresh()
            guard !batch.buffers.isEmpty else { continue }
            datagrams.store(
                datagrams.load(ordering: .relaxed) &+ UInt64(batch.buffers.count), ordering: .relaxed)
            let now = clock()
            for index in 0..<batch.buffers.count { open(batch.buffers[index], in: &batch, &lane, now) }
        }
    }

    private func open(
        _ buffer: FromUnderlay.Buffer, in batch: inout FromUnderlay, _ lane: inout Lane, _ now: Instant
    ) {
        guard !buffer.isTruncated else {
            lane.countDrop(.datagramTruncated, vni: .max)
            return
        }
        var bytes = batch.arena.mutableBytes
        let outcome = lane.decapsulate(
            inPlace: &bytes, received: buffer.place.range, from: buffer.source.address, as: .datagram, at: now)
        guard case .forward(let place) = outcome else { return }
        let sent = unsafe bytes.bytes.extracting(place).withUnsafeBytes {
            unsafe send(output.raw, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT))
        }
        if sent != place.count { lane.countDrop(.overlayRefused, vni: lane.lastVNI) }
    }
}
