// SPDX-License-Identifier: Apache-2.0

/// Whose something is, as far as limits go: an IPv4 address, or an IPv6 network of 64 bits, which one host may fill.
public struct SourceAddress: Hashable, Sendable, BitwiseCopyable {
    private let bits: UInt64
    private let isV4: Bool

    public init(_ address: IPAddress) {
        isV4 = address.family == .v4
        bits = address.family == .v4 ? UInt64(address.v4Bits) : address.high
    }

    /// Where it stands in a table that nobody can aim at.
    func place(_ key: UInt64) -> UInt64 {
        // The finaliser of MurmurHash3: each bit of key and address moves each bit of the result.
        var value = (bits ^ key) &+ (isV4 ? 0x9E37_79B9_7F4A_7C15 : 0)
        value ^= value >> 33
        value = value &* 0xFF51_AFD7_ED55_8CCD
        value ^= value >> 33
        value = (value ^ key) &* 0xC4CE_B9FE_1A85_EC53
        return value ^ value >> 33
    }
}
