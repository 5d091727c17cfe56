// SPDX-License-Identifier: Apache-2.0

/// Names a virtual network within an engine.
///
/// A network that has a VNI of its own is named by it: one with manual keys, one that a file gives a VNI, a granted one. All others
/// are numbered, and their datagrams bear the VNIs that come with their keys.
public struct NetworkID: Hashable, Comparable, BitwiseCopyable, Sendable, CustomStringConvertible {
    /// As processes tell it to each other: a VNI, or 2^24 and a number.
    public let rawValue: UInt32

    private init(_ rawValue: UInt32) { self.rawValue = rawValue }

    /// nil for the number that names no network.
    public init?(rawValue: UInt32) {
        guard rawValue != Self.none.rawValue else { return nil }
        self.rawValue = rawValue
    }

    /// Names no network.
    public static let none = NetworkID(.max)

    /// How many networks can be numbered.
    public static let numbers: Range<UInt32> = 0..<UInt32.max - vnis.upperBound

    /// A VNI has 24 bits (RFC 8926, section 3.4).
    public static let vnis: Range<UInt32> = 0..<1 << 24

    /// The network of a VNI; ``none`` if the number is no VNI.
    public static func vni(_ vni: UInt32) -> NetworkID { vnis.contains(vni) ? NetworkID(vni) : none }

    /// A network whose VNIs come with its keys; ``none`` if the number isn't in ``numbers``.
    public static func number(_ number: UInt32) -> NetworkID {
        numbers.contains(number) ? NetworkID(vnis.upperBound + number) : none
    }

    /// The VNI that is the network's own.
    public var vni: UInt32? { Self.vnis.contains(rawValue) ? rawValue : nil }

    public static func < (one: NetworkID, other: NetworkID) -> Bool { one.rawValue < other.rawValue }

    public var description: String {
        if let vni { return "VNI \(vni)" }
        return self == .none ? "no network" : "network \(rawValue - Self.vnis.upperBound)"
    }
}
