// SPDX-License-Identifier: Apache-2.0

/// The kernel's offloads that a driver may use. It uses those of them that the kernel agrees to.
public struct Offloads: OptionSet, Hashable, Sendable, CustomStringConvertible {
    public let rawValue: UInt8

    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// An overlay device leaves transport checksums unfinished, and takes unfinished ones. `tso` and `uso` need it.
    public static let checksum = Offloads(rawValue: 1)
    /// TCP superpackets to and from an overlay device.
    public static let tso = Offloads(rawValue: 2)
    /// UDP superpackets to and from an overlay device.
    public static let uso = Offloads(rawValue: 4)
    /// The underlay's socket cuts one send into datagrams (UDP_SEGMENT).
    public static let gso = Offloads(rawValue: 8)
    /// The underlay's socket merges datagrams into one receive (UDP_GRO).
    public static let gro = Offloads(rawValue: 16)

    public static let all: Offloads = [.checksum, .tso, .uso, .gso, .gro]

    /// Each offload and its name, as files and people write it.
    public static let names: [(name: String, offload: Offloads)] = [
        ("checksum", .checksum), ("tso", .tso), ("uso", .uso), ("gso", .gso), ("gro", .gro),
    ]

    public var description: String {
        isEmpty ? "off" : Self.names.filter { contains($0.offload) }.map(\.name).joined(separator: ", ")
    }
}
