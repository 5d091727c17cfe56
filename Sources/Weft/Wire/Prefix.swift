// SPDX-License-Identifier: Apache-2.0

/// An address prefix in CIDR form (RFC 4632, RFC 4291 section 2.3). Its host bits are zero.
public struct Prefix: Hashable, Sendable, BitwiseCopyable {
    /// The network address.
    public let address: IPAddress
    /// How many leading bits are fixed: 0...32 or 0...128.
    public let length: Int

    public var family: IPAddress.Family { address.family }

    /// The prefix of `length` bits that covers `address`; host bits are cleared. Nil when the length is out of range.
    public init?(_ address: IPAddress, length: Int) {
        guard (0...address.family.bitWidth).contains(length) else { return nil }
        let (high, low) = Self.mask(length)
        switch address.family {
        case .v4: self.address = IPAddress(v4: UInt32(truncatingIfNeeded: (address.high & high) >> 32))
        case .v6: self.address = IPAddress(v6: address.high & high, address.low & low)
        }
        self.length = length
    }

    /// The prefix that holds one address only.
    public init(host address: IPAddress) {
        self.address = address
        length = address.family.bitWidth
    }

    /// Parses `ADDRESS` or `ADDRESS/LENGTH`; host bits are cleared.
    public init?(_ text: some StringProtocol) {
        guard let parsed = InterfaceAddress(text) else { return nil }
        self = parsed.prefix
    }

    /// Whether the address lies in this prefix; always false across families.
    @inlinable
    public func contains(_ other: IPAddress) -> Bool {
        guard other.family == address.family else { return false }
        let (high, low) = Self.mask(length)
        return (other.high ^ address.high) & high == 0 && (other.low ^ address.low) & low == 0
    }

    /// Whether every address of `other` lies in this prefix.
    public func contains(_ other: Prefix) -> Bool {
        other.length >= length && contains(other.address)
    }

    /// Whether the prefix covers a whole family.
    public var isDefault: Bool { length == 0 }

    /// The left-aligned mask of a length, 0...128.
    @inlinable
    static func mask(_ length: Int) -> (high: UInt64, low: UInt64) {
        // Swift's smart shifts give 0 when the amount reaches the width, which is what an empty mask needs.
        (~0 << UInt64(max(0, 64 - length)), length > 64 ? ~0 << UInt64(128 - length) : 0)
    }
}

extension Prefix: Comparable {
    /// By address, then the shorter first: a prefix comes before those that it covers, and they follow it.
    public static func < (left: Prefix, right: Prefix) -> Bool {
        left.address == right.address ? left.length < right.length : left.address < right.address
    }
}

extension Prefix: CustomStringConvertible {
    public var description: String { "\(address)/\(length)" }
}
