// SPDX-License-Identifier: Apache-2.0
import Weft

/// How a peer is doing, for people.
public struct ControlPeerStatus: Hashable, Sendable {
    public enum State: String, Hashable, Sendable, CaseIterable {
        /// A session is up and keys were agreed.
        case connected
        /// A session is up; keys are being agreed.
        case agreeing
        /// We are calling the peer.
        case dialing
        /// The next call comes later.
        case waiting
        /// Nobody told us where the peer is: it has to call us.
        case listening
    }

    public let publicKey: PublicKey
    public let network: NetworkID
    public let state: State
    public let endpoint: Endpoint?
    public let role: Role
    /// When keys were agreed last; nil if never.
    public let lastAgreement: Instant?
    /// Agreements so far.
    public let agreements: UInt64
    /// Sessions that ended, and exchanges that failed.
    public let failures: UInt64
    /// The last failure since keys were agreed last.
    public let lastFailure: String?
    /// Where two hosts call from that both have the peer's key; empty while that isn't so.
    public let hostsWithKey: [Endpoint]
}
