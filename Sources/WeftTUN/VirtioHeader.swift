// SPDX-License-Identifier: Apache-2.0
import Weft

/// The header in front of each packet of a TUN device (OASIS virtio 1.2, section 5.1.6; `struct virtio_net_hdr`), in the
/// host's byte order.
struct VirtioHeader: BitwiseCopyable {
    var flags: UInt8 = 0
    var segmentationType: UInt8 = 0
    var headerLength: UInt16 = 0
    var segmentSize: UInt16 = 0
    var checksumStart: UInt16 = 0
    var checksumOffset: UInt16 = 0

    static let length = 10
    private static let needsChecksum: UInt8 = 1
    private static let none: UInt8 = 0
    private static let tcp4: UInt8 = 1
    private static let tcp6: UInt8 = 4
    private static let udp: UInt8 = 5
    private static let ecn: UInt8 = 0x80

    /// A packet that is complete.
    init() {}

    /// How the kernel is to cut a superpacket again.
    init(_ offload: Offload, headerLength: Int, isV4: Bool) {
        guard offload.needsChecksum else { return }
        flags = Self.needsChecksum
        switch offload.kind {
        case .none: segmentationType = Self.none
        case .tcp: segmentationType = isV4 ? Self.tcp4 : Self.tcp6
        case .udp: segmentationType = Self.udp
        }
        self.headerLength = UInt16(truncatingIfNeeded: headerLength)
        segmentSize = offload.segmentSize
        checksumStart = offload.checksumStart
        checksumOffset = offload.checksumOffset
    }

    /// What the kernel left to do with a packet of one family; nil for a type that was never negotiated.
    ///
    /// Its header length is a hint that is wrong for forwarded packets, so it isn't used: the packet says it better.
    func offload(isV4: Bool) -> Offload? {
        let kind: Offload.Kind
        switch (segmentationType & ~Self.ecn, isV4) {
        case (Self.none, _): kind = .none
        case (Self.tcp4, true), (Self.tcp6, false): kind = .tcp
        case (Self.udp, _): kind = .udp
        case (Self.tcp4, false), (Self.tcp6, true): return .contradiction
        default: return nil
        }
        return Offload(
            kind: kind, segmentSize: segmentSize, needsChecksum: flags & Self.needsChecksum != 0,
            checksumStart: checksumStart, checksumOffset: checksumOffset)
    }
}

extension Offload {
    /// Contradicts every packet, so that the engine drops and counts the one that it comes with.
    static let contradiction = Offload(kind: .tcp)
}
