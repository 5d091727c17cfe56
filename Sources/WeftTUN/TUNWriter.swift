// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Synchronization
import Weft

/// Why a superpacket was not written. Nothing was, then.
public enum SuperpacketError: Error, Hashable, Sendable {
    case noHeaders
    case emptyFragment
    case unequalFragments
    case tooLong
    case tooManyFragments
    /// The kernel did not take it, with its `errno`; EINVAL where the offload contradicts the headers.
    case refused(Int32)
}

/// A writing end of a TUN device: superpackets by one thread at a time, plain packets by any.
///
/// What the device was not agreed to take in one piece is cut here, and so is what it refuses.
public final class TUNWriter: OverlaySender {
    /// Fragments that one write may have.
    public static let fragmentLimit = 128
    private static let largestPacket = 65_535
    /// How long a full device is waited for: milliseconds.
    private static let patience: Int32 = 100

    private let device: TUNDevice
    private let wake: WakeEvent
    private let writeVectors: WriteVectors.Write
    private let state: Mutex<State>

    private struct State: ~Copyable {
        var vectors = WriteVectors(capacity: TUNWriter.fragmentLimit + 2)
        var cutter = SuperpacketCutter()
    }

    /// Packets that the device did not take, and why it did not take the last of them.
    private struct Loss {
        var packets = 0
        var failure = SendFailure.refused(0)
    }

    public convenience init(_ device: TUNDevice, wake: WakeEvent) {
        unsafe self.init(device, wake: wake, writeVectors: .init { unsafe writev($0, $1, $2) })
    }

    init(_ device: TUNDevice, wake: WakeEvent, writeVectors: WriteVectors.Write) {
        self.device = device
        self.wake = wake
        self.writeVectors = writeVectors
        state = Mutex(State())
    }

    public func send(
        _ packets: borrowing ToOverlay, in arena: borrowing PacketArena,
        failed: (_ group: Int, _ packets: Int, SendFailure) -> Void
    ) {
        state.withLock { state in
            for index in 0..<packets.groups.count {
                let loss = write(packets.groups[index], of: packets, in: arena, through: &state)
                if loss.packets > 0 { failed(index, loss.packets, loss.failure) }
            }
        }
    }

    public func send(_ packet: RawSpan) -> SendFailure? {
        state.withLock { state in write(packet, through: &state.vectors) }
    }

    private func write(
        _ group: ToOverlay.Group, of packets: borrowing ToOverlay, in arena: borrowing PacketArena,
        through state: inout State
    ) -> Loss {
        let bytes = arena.bytes
        let first = packets.packets[group.first].place
        let isV4 = bytes.isV4(at: first.offset)
        if group.count == 1 || takes(group.offload, isV4: isV4) {
            let header = VirtioHeader(group.offload, headerLength: group.headerLength, isV4: isV4)
            state.vectors.begin(header, hasHeader: device.capabilities.header)
            var next: Int? = group.first
            while let index = next {
                let packet = packets.packets[index]
                state.vectors.append(bytes.extracting(packet.place.range))
                next = packet.next
            }
            guard let failure = write(state.vectors) else { return Loss() }
            guard group.count > 1, failure == .refused(EINVAL) else {
                return Loss(packets: group.count, failure: failure)
            }
        }
        state.cutter.take(group, of: packets, in: arena)
        return cut(group.offload, count: group.count, through: &state)
    }

    /// Writes what the cutter has, packet by packet.
    private func cut(_ offload: Offload, count: Int, through state: inout State) -> Loss {
        var loss = Loss()
        let isCut = state.cutter.cut(offload) { packet in
            guard let failure = write(packet, through: &state.vectors) else { return }
            loss.packets += 1
            loss.failure = failure
        }
        return isCut ? loss : Loss(packets: count, failure: .refused(EINVAL))
    }

    /// Writes a superpacket: headers that speak of the whole and whose checksum covers the pseudo-header, and payloads
    /// of equal size but the last. No fragments is nothing to do; one goes as a plain packet, its checksum finished.
    ///
    /// - Parameters:
    ///   - headers: IP and transport headers.
    ///   - fragments: where the payloads lie in `arena`: within it.
    public func writeSuperpacket(
        headers: RawSpan, fragments: [PacketRange], in arena: RawSpan, offload: Offload
    ) throws(SuperpacketError) {
        guard let size = fragments.first?.count else { return }
        guard headers.byteCount > 0 else { throw .noHeaders }
        guard fragments.count <= Self.fragmentLimit else { throw .tooManyFragments }
        var total = headers.byteCount
        for (index, fragment) in fragments.enumerated() {
            guard fragment.count > 0 else { throw .emptyFragment }
            guard fragment.count == size || index == fragments.count - 1 && fragment.count < size else {
                throw .unequalFragments
            }
            guard total <= Self.largestPacket, fragment.count <= Self.largestPacket - total else { throw .tooLong }
            total += fragment.count
        }
        let failure = state.withLock { state in
            let isV4 = headers.isV4(at: 0)
            if fragments.count > 1, takes(offload, isV4: isV4) {
                let header = VirtioHeader(offload, headerLength: headers.byteCount, isV4: isV4)
                state.vectors.begin(header, hasHeader: device.capabilities.header)
                state.vectors.append(headers)
                for fragment in fragments { state.vectors.append(arena.extracting(fragment.range)) }
                return write(state.vectors)
            }
            var whole = offload
            if fragments.count == 1 { whole.kind = .none }
            state.cutter.removeAll()
            _ = state.cutter.append(headers)
            for fragment in fragments { _ = state.cutter.append(arena.extracting(fragment.range)) }
            let loss = cut(whole, count: fragments.count, through: &state)
            return loss.packets > 0 ? loss.failure : nil
        }
        switch failure {
        case nil: return
        case .tooLong: throw .tooLong
        case .refused(let code): throw .refused(code)
        }
    }

    private func takes(_ offload: Offload, isV4: Bool) -> Bool {
        switch offload.kind {
        case .none: false
        case .tcp: device.capabilities.takes(true, isV4: isV4)
        case .udp: device.capabilities.takes(false, isV4: isV4)
        }
    }

    private func write(_ packet: RawSpan, through vectors: inout WriteVectors) -> SendFailure? {
        vectors.begin(VirtioHeader(), hasHeader: device.capabilities.header)
        vectors.append(packet)
        return write(vectors)
    }

    private func write(_ vectors: borrowing WriteVectors) -> SendFailure? {
        while true {
            // A device takes a packet whole or not at all.
            if vectors.write(to: device.raw, by: writeVectors) >= 0 { return nil }
            let code = errno
            if code == EINTR { continue }
            if code == EAGAIN, (try? wake.wait(for: device.raw, events: POLLOUT, timeout: Self.patience)) == .ready {
                continue
            }
            return .refused(code)
        }
    }
}

extension RawSpan {
    /// Whether an IPv4 packet begins at `offset`.
    fileprivate func isV4(at offset: Int) -> Bool {
        unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self) >> 4 == 4
    }
}
