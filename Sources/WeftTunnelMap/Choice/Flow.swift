// SPDX-License-Identifier: Apache-2.0
import Weft

/// A flow as the classifier sees it.
public struct Flow: Hashable, Sendable {
    /// What the flows of protocols with ports have besides addresses.
    public struct Ports: Hashable, Sendable {
        public var `protocol`: UInt8
        public var source: UInt16
        public var destination: UInt16

        public init(protocol: UInt8, source: UInt16, destination: UInt16) {
            self.protocol = `protocol`
            self.source = source
            self.destination = destination
        }
    }

    public var source: IPAddress
    /// Of the same family as the source.
    public var destination: IPAddress
    /// Nil for fragments and for protocols without ports.
    public var ports: Ports?

    public init(source: IPAddress, destination: IPAddress, ports: Ports? = nil) {
        self.source = source
        self.destination = destination
        self.ports = ports
    }

    /// The classifier's hash of it: the same on all machines.
    public var hash: UInt64 {
        var hash = Self.mix(destination.family == .v6 ? 1 : 0, source.high)
        hash = Self.mix(hash, destination.high)
        if destination.family == .v6 {
            hash = Self.mix(hash, source.low)
            hash = Self.mix(hash, destination.low)
        }
        if let ports {
            hash = Self.mix(
                hash, UInt64(ports.protocol) << 32 | UInt64(ports.source) << 16 | UInt64(ports.destination))
        }
        return hash
    }

    static func mix(_ hash: UInt64, _ word: UInt64) -> UInt64 {
        let product = (hash ^ word) &* 0x9E37_79B9_7F4A_7C15
        return product ^ product >> 32
    }

    /// MurmurHash3's last step: each bit of the input moves each bit of the result.
    static func finish(_ value: UInt64) -> UInt64 {
        var hash = (value ^ value >> 33) &* 0xFF51_AFD7_ED55_8CCD
        hash = (hash ^ hash >> 33) &* 0xC4CE_B9FE_1A85_EC53
        return hash ^ hash >> 33
    }
}
