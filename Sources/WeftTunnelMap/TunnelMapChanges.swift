// SPDX-License-Identifier: Apache-2.0
import Weft

/// What a change of the maps wrote.
public struct TunnelMapChanges: Hashable, Sendable {
    /// Entries that were not there before.
    public var added = 0
    /// Entries that have other nexthops than before.
    public var changed = 0
    public var removed = 0
    /// Elements written to or deleted from the kernel's maps.
    public var writes = 0

    public init() {}
}
