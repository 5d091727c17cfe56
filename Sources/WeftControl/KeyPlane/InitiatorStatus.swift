// SPDX-License-Identifier: Apache-2.0
import Weft

/// How an initiator is doing, for people.
public struct InitiatorStatus: Hashable, Sendable {
    public let publicKey: PublicKey
    /// Sessions that are up.
    public let sessions: Int
    /// Where the newest session comes from; nil without one.
    public let endpoint: Endpoint?
    public let networks: Int
    public let mostNetworks: Int
    /// VNIs that were released and may not be used yet.
    public let quarantined: Int
    public let grants: UInt64
    public let releases: UInt64
    /// Requests and releases that had to wait, as there were more of them than it may make.
    public let delayed: UInt64
    public let refusals: [KeyRefusal: UInt64]
}
