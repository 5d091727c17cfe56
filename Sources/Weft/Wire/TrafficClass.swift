// SPDX-License-Identifier: Apache-2.0

/// What a packet says of congestion: the two lowest bits of its traffic class (RFC 3168 section 5).
enum ECN: UInt8, CaseIterable {
    /// Who sent it doesn't react to marks.
    case notECT = 0b00
    case ect1 = 0b01
    case ect0 = 0b10
    /// A router was congested.
    case ce = 0b11
}

/// What the outer header takes of an inner packet's ECN (RFC 6040 section 4.1).
public enum ECNMode: Hashable, Sendable {
    /// Nothing, since the other end may lose a mark: the outer header is Not-ECT.
    case compatibility
    /// All of it.
    case normal
}

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

extension ECN {
    /// The one that a traffic class says.
    init(_ trafficClass: UInt8) {
        switch trafficClass & TrafficClass.ecn {
        case Self.notECT.rawValue: self = .notECT
        case Self.ect1.rawValue: self = .ect1
        case Self.ect0.rawValue: self = .ect0
        default: self = .ce
        }
    }
}
