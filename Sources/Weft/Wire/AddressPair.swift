// SPDX-License-Identifier: Apache-2.0

/// The two ends of a way on the underlay: where a peer is, and from which address of ours it is spoken to.
public struct AddressPair: Hashable, Sendable, BitwiseCopyable, CustomStringConvertible {
    public let remote: Endpoint
    /// Our address, of the same family; nil leaves the choice to the kernel. Who was called answers from the address that was
    /// called, and who calls has none.
    public let local: IPAddress?

    /// - Parameter local: one of another family, or that no host can have, counts as nil.
    @inlinable
    public init(_ remote: Endpoint, from local: IPAddress? = nil) {
        self.remote = remote
        guard let local, local.family == remote.address.family, local.isUnicast else {
            self.local = nil
            return
        }
        self.local = local
    }

    /// The same, in both ends' own words: `192.0.2.2:6081 from 198.51.100.1`.
    public var description: String { local.map { "\(remote) from \($0)" } ?? "\(remote)" }
}
