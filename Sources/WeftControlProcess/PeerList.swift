// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftControl
import WeftNames
import WeftPair

/// The peers of a file that one machine serves, in a list that comes in parts.
struct PeerList {
    var peers: [ControlPeer] = []
    var presences: [PublicKey: PeerPresence] = [:]
    var tunnelled: [Prefix] = []
}
