// SPDX-License-Identifier: Apache-2.0

/// What an engine is made from.
public struct EngineConfiguration: Sendable {
    /// What crosses the overlay's seam.
    public enum Mode: Hashable, Sendable {
        /// IP packets.
        case layer3
        /// Ethernet frames. Opened packets get a header from `source` to `destination`; `source` also answers ARP
        /// and neighbour solicitations.
        case layer2(source: MACAddress, destination: MACAddress)
    }

    public var mode: Mode
    /// Our UDP port: what frames are sent from and must be sent to.
    public var port: UInt16
    /// Our addresses on the underlay. Only drivers that move whole frames need them.
    public var localAddresses: [LocalAddress]
    /// Whether frames on IPv4 carry a UDP checksum; on IPv6 they always do.
    public var outerUDPChecksum: Bool
    /// Whether frames are sent from a port of the flow's hash instead of ``port``.
    public var hashesSourcePort: Bool
    /// Whether outer headers have the inner packets' DSCP; else they have none.
    public var copiesDSCP: Bool
    /// Keys the flow hash. A secret random value unless given.
    public var flowHashKey: UInt64
    public var cipher: CipherChoice
    /// How many threads may seal and open at once.
    public var lanes: Int

    public init(
        mode: Mode = .layer3, port: UInt16 = Geneve.port, localAddresses: [LocalAddress] = [],
        outerUDPChecksum: Bool = false, hashesSourcePort: Bool = false, copiesDSCP: Bool = false,
        flowHashKey: UInt64 = .random(in: 0 ... .max),
        cipher: CipherChoice = .automatic, lanes: Int = 8
    ) {
        self.mode = mode
        self.port = port
        self.localAddresses = localAddresses
        self.outerUDPChecksum = outerUDPChecksum
        self.hashesSourcePort = hashesSourcePort
        self.copiesDSCP = copiesDSCP
        self.flowHashKey = flowHashKey
        self.cipher = cipher
        self.lanes = lanes
    }
}
