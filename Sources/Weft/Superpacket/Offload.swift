// SPDX-License-Identifier: Apache-2.0

/// What the overlay left for us to do with a packet: cut it into segments, finish its checksum.
///
/// The kernel's word for it is the virtio-net header (OASIS virtio 1.2, section 5.1.6); a driver translates.
public struct Offload: Hashable, Sendable, BitwiseCopyable {
    /// What a superpacket is cut into.
    public enum Kind: UInt8, Hashable, Sendable, BitwiseCopyable {
        /// A packet that goes as it is.
        case none
        /// TCP segments (TSO).
        case tcp
        /// UDP datagrams (USO).
        case udp
    }

    public var kind: Kind
    /// Payload bytes in each segment but the last, which may have fewer.
    public var segmentSize: UInt16
    /// Whether the transport checksum covers the pseudo-header only, and must be finished.
    public var needsChecksum: Bool
    /// Where the checksummed part begins: the transport header, from the packet's start.
    public var checksumStart: UInt16
    /// Where the checksum field stands, from `checksumStart`.
    public var checksumOffset: UInt16

    public init(
        kind: Kind = .none, segmentSize: UInt16 = 0, needsChecksum: Bool = false, checksumStart: UInt16 = 0,
        checksumOffset: UInt16 = 0
    ) {
        self.kind = kind
        self.segmentSize = segmentSize
        self.needsChecksum = needsChecksum
        self.checksumStart = checksumStart
        self.checksumOffset = checksumOffset
    }

    /// A packet that is complete.
    public static let none = Offload()
}
