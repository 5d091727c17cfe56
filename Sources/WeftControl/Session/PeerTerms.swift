// SPDX-License-Identifier: Apache-2.0

/// What a session with a peer goes by.
public struct PeerTerms: Hashable, Sendable {
    /// How many streams it may have open.
    public var streams: Int
    public var speaks: PeerProtocol

    public init(streams: Int, speaks: PeerProtocol = .weft) {
        self.streams = streams
        self.speaks = speaks
    }
}
