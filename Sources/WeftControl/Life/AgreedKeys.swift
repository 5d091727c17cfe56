// SPDX-License-Identifier: Apache-2.0
import Weft

/// What an exchange led to, as the engine wants it.
struct AgreedKeys {
    let exchange: UInt32
    let receiveSPI: UInt32
    let receiveKey: PacketKey
    let transmitSPI: UInt32
    let transmitKey: PacketKey
    /// What the responder is still to get; nil at the responder.
    let confirmation: RatchetMessage?
}
