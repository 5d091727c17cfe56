// SPDX-License-Identifier: Apache-2.0
import Weft

/// A change that stopped half-way.
public struct ReconcileError: Error, CustomStringConvertible {
    /// What stopped it.
    public let cause: TunnelMapError
    /// What was done before, and stays.
    public let applied: TunnelMapChanges

    public var description: String {
        guard applied != TunnelMapChanges() else { return "\(cause); nothing was changed" }
        return "\(cause); before that \(applied.added) entries were added, \(applied.changed) changed and "
            + "\(applied.removed) removed, in \(applied.writes) writes"
    }
}
