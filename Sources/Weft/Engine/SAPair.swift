// SPDX-License-Identifier: Apache-2.0

/// Both directions' keys of one virtual network, to be installed together.
public struct SAPair: Sendable {
    public let receiveSPI: UInt32
    public let receiveKey: PacketKey
    public let transmitSPI: UInt32
    public let transmitKey: PacketKey
    /// Both directions work up to and including this instant.
    public let expiry: Instant
    /// What datagrams that come bear, and those that go; nil for the VNI that is the network's own.
    public let receiveVNI: UInt32?
    public let transmitVNI: UInt32?

    public init(
        receiveSPI: UInt32, receiveKey: PacketKey, transmitSPI: UInt32, transmitKey: PacketKey, expiry: Instant,
        receiveVNI: UInt32? = nil, transmitVNI: UInt32? = nil
    ) {
        self.receiveSPI = receiveSPI
        self.receiveKey = receiveKey
        self.transmitSPI = transmitSPI
        self.transmitKey = transmitKey
        self.expiry = expiry
        self.receiveVNI = receiveVNI
        self.transmitVNI = transmitVNI
    }
}
