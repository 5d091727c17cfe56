// SPDX-License-Identifier: Apache-2.0

/// What was sent straight to a transport, past routing. The engine's books know nothing of it.
public struct DirectTraffic: Hashable, Sendable {
    /// Datagrams, or packets, that the transport took.
    public internal(set) var sent: UInt64 = 0
    /// Those that it refused.
    public internal(set) var refused: UInt64 = 0
}

extension DirectTraffic {
    mutating func count(_ taken: UInt64, of all: UInt64) {
        sent &+= taken
        refused &+= all - taken
    }
}
