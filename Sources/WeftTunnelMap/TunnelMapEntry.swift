// SPDX-License-Identifier: Apache-2.0
import CWeftTunnelMap
import Weft

/// A prefix and the nexthops that it is reached by.
public struct TunnelMapEntry: Hashable, Sendable {
    public var prefix: Prefix
    /// 1 to 16, in any order: it means nothing. None at all, to drop what never leaves in the clear.
    public var nexthops: [Nexthop]
    /// Whether packets are dropped while no nexthop is healthy, rather than left to the kernel's routing.
    public var neverInTheClear: Bool

    public init(prefix: Prefix, nexthops: [Nexthop], neverInTheClear: Bool = false) {
        self.prefix = prefix
        self.nexthops = nexthops
        self.neverInTheClear = neverInTheClear
    }
}
