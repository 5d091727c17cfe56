// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Synchronization
import Weft

/// The reading end of a TUN device: one thread's.
public final class TUNReader: OverlayReceiver {
    private let device: TUNDevice
    private let wake: WakeEvent
    private let state = Mutex(State())

    private struct State {
        /// An error that ended a drain.
        var pending: TransportError?
        /// Whether the last wake-up brought one packet only. Then the next packet is handed on without a look for
        /// another: that look would stand between it and its way out.
        var comesAlone = false
    }

    public init(_ device: TUNDevice, wake: WakeEvent) {
        self.device = device
        self.wake = wake
    }

    /// Drains the device with one vectored read a packet, its header apart from its body; waits only when it is empty.
    ///
    /// A header of a kind that was never negotiated costs its packet: during the drain it ends the drain.
    public func receive(into batch: inout FromOverlay, timeout: Int32) throws(TransportError) {
        try state.withLock { (state: inout sending State) throws(TransportError) in
            if let error = state.pending.take() { throw error }
            try drain(into: &batch, &state)
            guard batch.packets.isEmpty else {
                state.comesAlone = false
                return
            }
            guard try wake.wait(for: device.raw, events: POLLIN, timeout: timeout) == .ready else { return }
            try drain(into: &batch, atMost: state.comesAlone ? 1 : .max, &state)
            state.comesAlone = batch.packets.count == 1
        }
    }

    private func drain(
        into batch: inout FromOverlay, atMost limit: Int = .max, _ state: inout State
    ) throws(TransportError) {
        while batch.hasRoom, batch.packets.count < limit {
            switch read(into: &batch) {
            case .packet: continue
            case .nothing: return
            case .badHeader:
                // The packet is in the batch, with an offload that makes the engine drop and count it.
                if batch.packets.count > 1 { return }
            case .failed(let code):
                // What was read before the error is still good: the error is thrown by the next call.
                let error = TransportError("read from \(device.name)", code: code)
                if batch.packets.isEmpty { throw error }
                state.pending = error
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
                let code = count < 0 ? errno : EBADMSG
                result = code == EAGAIN || code == EINTR ? .nothing : .failed(code)
                return (count: 0, offload: .none)
            }
            guard hasHeader else { return (count: count, offload: .none) }
            guard count >= VirtioHeader.length else {
                result = .failed(EBADMSG)
                return (count: 0, offload: .none)
            }
            guard count > VirtioHeader.length else {
                // No packet at all: one byte stands for it, so that it is counted.
                result = .badHeader
                space.storeBytes(of: 0, toByteOffset: 0, as: UInt8.self)
                return (count: 1, offload: .none)
            }
            let version = unsafe space.bytes.unsafeLoad(fromByteOffset: 0, as: UInt8.self) >> 4
            let offload = header.offload(isV4: version == 4)
            if offload == nil { result = .badHeader }
            return (count: count - VirtioHeader.length, offload: offload ?? .contradiction)
        }
        return result
    }
}
