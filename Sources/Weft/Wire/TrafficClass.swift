// SPDX-License-Identifier: Apache-2.0

/// IPv4's type of service, which is IPv6's traffic class: the DSCP in the six upper bits (RFC 2474), ECN in the two lower ones.
enum TrafficClass {
    static let ecn: UInt8 = 0b11
    static let dscp: UInt8 = ~ecn

    /// What a packet has, whose header is there.
    @inline(__always)
    static func of(_ packet: RawSpan, _ family: IPAddress.Family) -> UInt8 {
        switch family {
        case .v4: packet.load(at: 1)
        case .v6: UInt8(truncatingIfNeeded: packet.load(at: 0, as: UInt16.self) >> 4)
        }
    }

    /// Whether there is something in an outer header that may have to be carried into the inner one: CE or ECT(1).
    @inline(__always)
    static func mayMark(_ outer: UInt8) -> Bool { outer & 1 != 0 }

    /// Carries what routers said of congestion outside into the inner packet (RFC 6040 section 4.2).
    ///
    /// A checksum that was wrong before is wrong afterwards, too.
    /// - Parameter packet: with a whole IP header.
    /// - Throws: ``DropReason/ceOnNotECT`` where only the loss of the packet tells its sender.
    static func carry(
        _ outer: UInt8, into packet: inout MutableRawSpan, _ family: IPAddress.Family
    ) throws(DropReason) {
        let combined: ECN
        switch (ECN(of(packet.bytes, family)), ECN(outer)) {
        case (.notECT, .ce): throw .ceOnNotECT
        case (.ect0, .ect1): combined = .ect1
        case (.ect0, .ce), (.ect1, .ce): combined = .ce
        default: return
        }
        let before: UInt16 = packet.bytes.load(at: 0)
        switch family {
        case .v4:
            let after = before & ~UInt16(ecn) | UInt16(combined.rawValue)
            packet.store(after, at: 0)
            packet.store(Checksum.updated(packet.bytes.load(at: 10), from: before, to: after), at: 10)
        case .v6:
            packet.store(before & ~(UInt16(ecn) << 4) | UInt16(combined.rawValue) << 4, at: 0)
        }
    }
}
