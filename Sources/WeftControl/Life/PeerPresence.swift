// SPDX-License-Identifier: Apache-2.0
import Weft

/// What an engine has of a peer from before its control plane began.
public struct PeerPresence: Hashable, Sendable {
    /// Where its data goes.
    public var endpoint: Endpoint?
    /// The SPIs of the SAs that still open what it sends.
    public var receiveSPIs: [UInt32]

    public init(endpoint: Endpoint?, receiveSPIs: [UInt32]) {
        self.endpoint = endpoint
        self.receiveSPIs = receiveSPIs
    }
}
