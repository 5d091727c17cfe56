// SPDX-License-Identifier: Apache-2.0
import Weft

/// Changes to a key server's networks that happen in one step.
public struct GrantChanges: Sendable {
    /// VNIs to take back, with their keys.
    public var removed: Set<UInt32> = []
    /// Networks that stay, with their keys and books, and whose endpoint or part in routing is another from now on.
    public var changed: [GrantedNetwork] = []
    public var added: [GrantedNetwork] = []
    /// The keys of those that are added, by VNI.
    public var keys: [UInt32: SAPair] = [:]

    public init() {}

    public var isEmpty: Bool { removed.isEmpty && changed.isEmpty && added.isEmpty }
}
