// SPDX-License-Identifier: Apache-2.0

/// How whole frames reach an endpoint. They are dropped while anything of it is unknown.
public struct UnderlayPath: Hashable, Sendable {
    /// Where they are sent from.
    public var local: LocalAddress?
    /// The link-layer address that they are sent to.
    public var nextHop: MACAddress?

    public init(local: LocalAddress? = nil, nextHop: MACAddress? = nil) {
        self.local = local
        self.nextHop = nextHop
    }
}
