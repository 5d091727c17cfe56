// SPDX-License-Identifier: Apache-2.0

/// Which protocol a peer speaks, as far as its section says.
public enum PeerProtocol: UInt8, Hashable, Sendable, CaseIterable {
    /// ICX's.
    case icx = 0
    /// ICX's with Weft's timers, as Weft's first release speaks it: it can't show that it knows us before it calls.
    case firstRelease = 1
    /// `weft/1`. A first release that we call is talked with nevertheless.
    case weft = 2
}
