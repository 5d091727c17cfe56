// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Synchronization
import Weft

/// Puts IP packets that were opened outside the rings into the overlay, as frames through a packet socket.
final class FrameWriter: OverlaySender {
    private let output: FileDescriptor
    private let header: InlineArray<14, UInt8>
    private let cutter = Mutex(SuperpacketCutter())

    /// - Parameters:
    ///   - overlay: the pair's end whose frames the host's end receives.
    ///   - host: the MAC address of the host's end.
    ///   - neighbor: the one of all the overlay's other hosts.
    init(overlay: Int32, to host: MACAddress, from neighbor: MACAddress) throws(TransportError) {
        // Protocol 0: it only sends.
        let raw = try SystemCall.retrying("open a packet socket") {
            Glibc.socket(AF_PACKET, Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        }
        output = FileDescriptor(owning: raw)
        try Self.bind(raw, to: overlay)
        var header = InlineArray<14, UInt8>(repeating: 0)
        for index in 0..<6 {
            header[index] = UInt8(truncatingIfNeeded: host.bits >> UInt64(40 - index * 8))
            header[6 + index] = UInt8(truncatingIfNeeded: neighbor.bits >> UInt64(40 - index * 8))
        }
        self.header = header
    }

    /// The pair was made anew.
    /// - Parameter overlay: its end whose frames the host's end receives.
    func move(to overlay: Int32) throws(TransportError) { try Self.bind(output.raw, to: overlay) }

    private static func bind(_ raw: Int32, to overlay: Int32) throws(TransportError) {
        var address = sockaddr_ll()
        address.sll_family = UInt16(AF_PACKET)
        address.sll_ifindex = overlay
        try SystemCall.retrying("bind a packet socket") {
            // Safe: every socket address begins with the same field, and the length says how much of it counts.
            unsafe withUnsafePointer(to: &address) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe Glibc.bind(raw, $0, socklen_t(MemoryLayout<sockaddr_ll>.size))
                }
            }
        }
    }

    func send(
        _ packets: borrowing ToOverlay, in arena: borrowing PacketArena,
        failed: (_ group: Int, _ packets: Int, SendFailure) -> Void
    ) {
        for index in 0..<packets.groups.count {
            let group = packets.groups[index]
            var lost = 0
            var failure = SendFailure.refused(0)
            if group.count == 1 {
                if let reason = send(arena.bytes.extracting(packets.packets[group.first].place.range)) {
                    (lost, failure) = (1, reason)
                }
            } else {
                cutter.withLock { cutter in
                    cutter.take(group, of: packets, in: arena)
                    let isCut = cutter.cut(group.offload) { packet in
                        guard let reason = send(packet) else { return }
                        lost += 1
                        failure = reason
                    }
                    if !isCut { lost = group.count }
                }
            }
            if lost > 0 { failed(index, lost, failure) }
        }
    }

    func send(_ packet: RawSpan) -> SendFailure? {
        guard !packet.isEmpty else { return nil }
        var header = header
        let isV4 = unsafe packet.unsafeLoad(fromByteOffset: 0, as: UInt8.self) >> 4 == 4
        (header[12], header[13]) = isV4 ? (0x08, 0x00) : (0x86, 0xDD)
        let sent = unsafe withUnsafeMutableBytes(of: &header) { head in
            unsafe packet.withUnsafeBytes { body in
                // Safe: both vectors stay until the call returns, which only reads through them.
                var vectors = unsafe (
                    iovec(iov_base: head.baseAddress, iov_len: head.count),
                    iovec(iov_base: UnsafeMutableRawPointer(mutating: body.baseAddress), iov_len: body.count)
                )
                return unsafe withUnsafeBytes(of: &vectors) {
                    unsafe writev(output.raw, $0.assumingMemoryBound(to: iovec.self).baseAddress, 2)
                }
            }
        }
        return sent < 0 ? .refused(errno) : nil
    }
}
