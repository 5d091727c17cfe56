// SPDX-License-Identifier: Apache-2.0

/// What a packet is wrapped in on its way through the underlay.
public enum Encapsulation: Hashable, Sendable, BitwiseCopyable {
    /// It is the datagram.
    case none
    /// It stands behind a Geneve header without options, of this VNI. Nothing is proven by it.
    case geneve(vni: UInt32)
}
