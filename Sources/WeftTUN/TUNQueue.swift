// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Weft

/// The reading end of a TUN device: one thread's.
public final class TUNReader: OverlayReceiver {
    private let device: TUNDevice
    private let wake: WakeEvent

    public init(_ device: TUNDevice, wake: WakeEvent) {
        self.device = device
        self.wake = wake
    }

    /// Waits for a packet and drains the device: up to a batch, with one read a packet.
    public func receive(into batch: inout FromOverlay, timeout: Int32) throws(TransportError) {
        guard try wake.wait(for: device.raw, events: POLLIN, timeout: timeout) == .ready else { return }
        while batch.hasRoom {
            var code: Int32 = 0
            let count = batch.append { (space: inout MutableRawSpan) in
                let count = unsafe space.withUnsafeMutableBytes { unsafe read(device.raw, $0.baseAddress, $0.count) }
                code = count < 0 ? errno : 0
                return max(count, 0)
            }
            guard count == 0 else { continue }
            batch.removeLast()
            guard ![0, EAGAIN, EINTR].contains(code) else {
                // What was read before the error is still good; the error comes again.
                if batch.packets.isEmpty { throw TransportError("read from \(device.name)", code: code) }
                return
            }
            return
        }
    }
}

/// A writing end of a TUN device.
public final class TUNWriter: OverlaySender {
    private let device: TUNDevice
    private let wake: WakeEvent
    /// How long a full device is waited for: milliseconds.
    private static let patience: Int32 = 100

    public init(_ device: TUNDevice, wake: WakeEvent) {
        self.device = device
        self.wake = wake
    }

    public func send(
        _ packets: borrowing ToOverlay, in arena: borrowing PacketArena, failed: (Int, SendFailure) -> Void
    ) {
        for index in 0..<packets.packets.count {
            let packet = arena.bytes.extracting(packets.packets[index].place.range)
            if let failure = send(packet) { failed(index, failure) }
        }
    }

    public func send(_ packet: RawSpan) -> SendFailure? {
        while true {
            // A device takes a packet whole or not at all.
            let count = unsafe packet.withUnsafeBytes { unsafe write(device.raw, $0.baseAddress, $0.count) }
            if count >= 0 { return nil }
            let code = errno
            if code == EINTR { continue }
            if code == EAGAIN, (try? wake.wait(for: device.raw, events: POLLOUT, timeout: Self.patience)) == .ready {
                continue
            }
            return .refused(code)
        }
    }
}
