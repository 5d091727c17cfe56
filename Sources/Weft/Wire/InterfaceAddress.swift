// SPDX-License-Identifier: Apache-2.0

/// An interface's address together with the length of its prefix, as in `10.77.0.1/24`.
public struct InterfaceAddress: Hashable, Sendable, CustomStringConvertible {
    public let address: IPAddress
    /// 0...32 or 0...128.
    public let length: Int

    /// Parses `ADDRESS` (a host's own prefix) or `ADDRESS/LENGTH` with a decimal length without sign or leading zeros.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let address = IPAddress(first) else { return nil }
        self.address = address
        guard parts.count == 2 else {
            length = address.family.bitWidth
            return
        }
        guard let length = Int(parts[1]), String(length) == parts[1],
            (0...address.family.bitWidth).contains(length)
        else { return nil }
        self.length = length
    }

    /// The prefix that the interface is attached to.
    public var prefix: Prefix { Prefix(address, length: length) ?? Prefix(host: address) }

    public var description: String { "\(address)/\(length)" }
}
