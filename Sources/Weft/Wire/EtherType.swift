// SPDX-License-Identifier: Apache-2.0

/// EtherTypes (IEEE 802).
enum EtherType {
    static let ipv4: UInt16 = 0x0800
    static let arp: UInt16 = 0x0806
    static let ipv6: UInt16 = 0x86DD
    // In Geneve envelopes only; neither is registered.
    static let disco: UInt16 = 0x7A11
    static let wireGuard: UInt16 = 0x7A12
}
