// SPDX-License-Identifier: Apache-2.0
import Weft

/// Who may send Geneve without a device: an underlay address, and the VNI that it uses.
public struct GeneveSender: Hashable, Sendable {
    public let address: IPAddress
    public let vni: UInt32
}
