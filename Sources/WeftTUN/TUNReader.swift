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

    /// Drains the device with one vectored read a packet, its header apart from its body; waits only when it is empty.
    ///
    /// A header of a kind that was never negotiated costs its packet: during the drain it ends the drain.
    public func receive(into batch: inout FromOverlay, timeout: Int32) throws(TransportError) {
        try drain(into: &batch)
        guard batch.packets.isEmpty else { return }
        guard try wake.wait(for: device.raw, events: POLLIN, timeout: timeout) == .ready else { return }
        try drain(into: &batch)
    }

    private func drain(into batch: inout FromOverlay) throws(TransportError) {
        while batch.hasRoom {
            switch read(into: &batch) {
            case .packet: continue
            case .nothing: return
            case .badHeader:
                // Handed over as it is, without an IP packet in it, so that the engine counts it.
                batch.append { (space: inout MutableRawSpan) in
                    space.storeBytes(of: 0, toByteOffset: 0, as: UInt8.self)
                    return 1
                }
                if batch.packets.count > 1 { return }
            case .failed(let code):
                // What was read before the error is still good; the error comes again.
                if batch.packets.isEmpty { throw TransportError("read from \(device.name)", code: code) }
                return
            }
        }
    }

    private enum Read {
        case packet
        case nothing
        case badHeader
        case failed(Int32)
    }

    private func read(into batch: inout FromOverlay) -> Read {
        var result = Read.packet
        let hasHeader = device.capabilities.header
        batch.append { (space: inout MutableRawSpan) in
            var header = VirtioHeader()
            let count = unsafe withUnsafeMutableBytes(of: &header) { header in
                unsafe space.withUnsafeMutableBytes { body in
                    // Safe: both vectors stay until the call returns, and say how long they are.
                    var vectors = unsafe (
                        iovec(iov_base: header.baseAddress, iov_len: hasHeader ? VirtioHeader.length : 0),
                        iovec(iov_base: body.baseAddress, iov_len: body.count)
                    )
                    return unsafe withUnsafeBytes(of: &vectors) {
                        unsafe readv(device.raw, $0.assumingMemoryBound(to: iovec.self).baseAddress, 2)
                    }
                }
            }
            guard count > 0 else {
                let code = count < 0 ? errno : EAGAIN
                result = [EAGAIN, EINTR].contains(code) ? .nothing : .failed(code)
                return (count: 0, offload: .none)
            }
            guard hasHeader else { return (count: count, offload: .none) }
            guard count > VirtioHeader.length else {
                result = .failed(EBADMSG)
                return (count: 0, offload: .none)
            }
            guard let offload = header.offload else {
                result = .badHeader
                return (count: 0, offload: .none)
            }
            return (count: count - VirtioHeader.length, offload: offload)
        }
        return result
    }
}
