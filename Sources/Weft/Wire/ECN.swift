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
