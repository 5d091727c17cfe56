// SPDX-License-Identifier: Apache-2.0

/// A virtual network as it is at one moment.
public struct NetworkStatus: Sendable {
    public let id: NetworkID
    public let endpoint: Endpoint?
    /// Which of our addresses datagrams to it leave from; nil for the kernel's choice.
    public let localAddress: IPAddress?
    /// The link-layer address that frames to the endpoint are sent to; nil while unknown, or where the kernel sends.
    public let nextHop: MACAddress?
    public let routes: [Route]
    /// What outer headers to the peer take of ECN.
    public let ecn: ECNMode
    public let statistics: Statistics
    public let transmit: TransmitStatus?
    /// The newest first.
    public let receive: [ReceiveStatus]

    /// The VNI that it receives with: its own, or the newest keys'; nil while it has neither.
    public var vni: UInt32? { id.vni ?? receive.first?.vni }

    public struct TransmitStatus: Hashable, Sendable {
        public let vni: UInt32
        public let spi: UInt32
        public let expiry: Instant
        /// Messages sealed so far, or given up.
        public let lastCounter: UInt64
        /// The highest counter that may be used until it is raised.
        public let ceiling: UInt64
        /// Whether it seals nothing more, since somebody else seals with its key.
        public let isShared: Bool
    }

    public struct ReceiveStatus: Hashable, Sendable {
        public let vni: UInt32
        public let spi: UInt32
        public let expiry: Instant
        /// The highest counter accepted.
        public let highestCounter: UInt64
    }
}
