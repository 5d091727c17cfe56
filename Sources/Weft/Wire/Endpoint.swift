// SPDX-License-Identifier: Apache-2.0

/// Where a peer is reached on the underlay: an address and a UDP port.
public struct Endpoint: Hashable, Sendable, BitwiseCopyable, CustomStringConvertible {
    public let address: IPAddress
    public let port: UInt16

    @inlinable
    public init(_ address: IPAddress, port: UInt16) {
        self.address = address
        self.port = port
    }

    /// Parses `192.0.2.2:6081` or `[2001:db8::2]:6081`. The port is 1...65535.
    public init?(_ text: some StringProtocol) {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let portText = text[text.index(after: colon)...]
        guard let port = UInt16(portText), port > 0, String(port) == portText else { return nil }
        let host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            guard let address = IPAddress(host.dropFirst().dropLast()), address.family == .v6 else { return nil }
            self.init(address, port: port)
        } else {
            guard let address = IPAddress(host), address.family == .v4 else { return nil }
            self.init(address, port: port)
        }
    }

    /// Whether something can be sent there at all: a port, and an address that may be one host's.
    public var canBeReached: Bool { port != 0 && address.isUnicast }

    public var description: String {
        address.family == .v4 ? "\(address):\(port)" : "[\(address)]:\(port)"
    }
}
