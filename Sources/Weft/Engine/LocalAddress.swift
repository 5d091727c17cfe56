// SPDX-License-Identifier: Apache-2.0

/// An address of ours on the underlay, as whole frames name it.
public struct LocalAddress: Hashable, Sendable {
    public let address: IPAddress
    /// The length of the prefix that the interface is attached to.
    public let prefixLength: Int
    public let mac: MACAddress

    public init(_ address: IPAddress, prefixLength: Int, mac: MACAddress) {
        self.address = address
        self.prefixLength = prefixLength
        self.mac = mac
    }

    /// The address to send to `remote` from: of its family, on its own network if there is one, else the first.
    static func best(for remote: IPAddress, among candidates: [LocalAddress]) -> LocalAddress? {
        let sameFamily = candidates.filter { $0.address.family == remote.family }
        let attached = sameFamily.filter { candidate in
            Prefix(candidate.address, length: candidate.prefixLength)?.contains(remote) ?? false
        }
        return attached.max { $0.prefixLength < $1.prefixLength } ?? sameFamily.first
    }
}
